//! The seeds that we make, by target: what a fuzzer would take long to come across by itself.

mod capture;
mod http1;
mod record;
mod wire;

/// The seeds of a target: name and bytes.
pub(crate) fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = match target {
        "record" => record::seeds(),
        "capture" => capture::seeds(),
        "tcp" => wire::tcp(),
        "http1" => http1::seeds(),
        "pipeline" => wire::pipeline(),
        _ => Vec::new(),
    };
    seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
