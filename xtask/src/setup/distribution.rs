//! Owns what os-release(5) says about the machine: which package manager it has, and whether it is a
//! Debian that packages the eBPF compiler.

/// Debian 12 is the first whose security archive has rustc-web new enough for aya.
const FIRST_DEBIAN: u32 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Debian itself, 12 or later: set-up installs by itself.
    Debian,
    /// Something else with apt: an older Debian, Ubuntu and their kin.
    Apt,
    Dnf,
    Pacman,
    Apk,
    Zypper,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    pub(crate) family: Family,
    /// For messages; `PRETTY_NAME`.
    pub(crate) name: String,
}

impl Distribution {
    /// Reads the text of os-release.
    pub(crate) fn parse(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(|value| value.trim_matches(['"', '\'']).to_owned())
        };
        let id = value("ID").unwrap_or_default();
        let like = value("ID_LIKE").unwrap_or_default();
        // Debian's testing and unstable have no VERSION_ID; they are later than any release.
        let version: u32 = value("VERSION_ID").and_then(|v| v.parse().ok()).unwrap_or(u32::MAX);
        let family = if id == "debian" && version >= FIRST_DEBIAN {
            Family::Debian
        } else {
            std::iter::once(id.as_str())
                .chain(like.split_whitespace())
                .map(family_of)
                .find(|family| *family != Family::Unknown)
                .unwrap_or(Family::Unknown)
        };
        let name = value("PRETTY_NAME").unwrap_or_else(|| "this distribution".to_owned());
        Self { family, name }
    }
}

fn family_of(id: &str) -> Family {
    match id {
        "debian" | "ubuntu" => Family::Apt,
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "amzn" => Family::Dnf,
        "arch" | "manjaro" => Family::Pacman,
        "alpine" => Family::Apk,
        "suse" | "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" | "sles" => Family::Zypper,
        _ => Family::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Family) {
        assert_eq!(Distribution::parse(text).family, expected, "{text}");
    }

    #[test]
    fn debian_from_12_on_is_set_up_by_us() {
        check("ID=debian\nVERSION_ID=\"12\"\n", Family::Debian);
        check("ID=debian\nVERSION_ID=\"13\"\n", Family::Debian);
        check("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\n", Family::Debian);
        check("ID=debian\nVERSION_ID=\"11\"\n", Family::Apt);
    }

    #[test]
    fn others_are_known_by_their_name_or_their_kin() {
        check("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n", Family::Apt);
        check("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Family::Apt);
        check("ID=fedora\nVERSION_ID=42\n", Family::Dnf);
        check("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Family::Dnf);
        check("ID=arch\n", Family::Pacman);
        check("ID=alpine\n", Family::Apk);
        check("ID=opensuse-tumbleweed\nID_LIKE=\"opensuse suse\"\n", Family::Zypper);
        check("ID=nixos\n", Family::Unknown);
        check("", Family::Unknown);
    }

    #[test]
    fn the_name_is_for_people() {
        let text = "ID=fedora\nPRETTY_NAME=\"Fedora Linux 42\"\n";
        assert_eq!(Distribution::parse(text).name, "Fedora Linux 42");
        assert_eq!(Distribution::parse("").name, "this distribution");
    }
}
