//! What made exchanges are like: heads as browsers, programs and servers write them.

use super::packet::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mix {
    /// GET and POST, bodies of all sizes, chunked ones, some of 64 KiB, some 304
    Mixed,
    /// GET with an answer of 200 bytes, nothing else
    Small,
}

/// Both messages, as sent.
pub(super) struct Exchange {
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
}

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Go-http-client/1.1",
    "curl/8.5.0",
];

impl Mix {
    pub(super) fn exchange(self, random: &mut Random) -> Exchange {
        match self {
            Self::Small => get(random, 200),
            Self::Mixed => match random.below(100) {
                0..65 => {
                    let size = random.between(100, 1500);
                    get(random, size)
                }
                65..70 => get(random, 64 << 10),
                70..75 => not_modified(random),
                75..87 => post(random),
                _ => chunked(random),
            },
        }
    }
}

fn get(random: &mut Random, size: u64) -> Exchange {
    let mut response = response_head("200 OK", &format!("Content-Length: {size}\r\n"), random);
    response.resize(response.len() + size as usize, b'x');
    Exchange { request: request_head("GET", "", random), response }
}

fn not_modified(random: &mut Random) -> Exchange {
    let request = request_head("GET", "If-None-Match: \"65f1c0a2-4d7\"\r\n", random);
    Exchange { request, response: response_head("304 Not Modified", "", random) }
}

fn post(random: &mut Random) -> Exchange {
    let size = random.between(50, 2500);
    let fields = format!("Content-Type: application/json\r\nContent-Length: {size}\r\n");
    let mut request = request_head("POST", &fields, random);
    request.resize(request.len() + size as usize, b'x');
    let mut response = response_head("201 Created", "Content-Length: 27\r\n", random);
    response.extend_from_slice(br#"{"id":9401,"state":"taken"}"#);
    Exchange { request, response }
}

fn chunked(random: &mut Random) -> Exchange {
    let mut response = response_head("200 OK", "Transfer-Encoding: chunked\r\n", random);
    for _ in 0..random.between(1, 6) {
        let size = random.between(100, 3000);
        response.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        response.resize(response.len() + size as usize, b'x');
        response.extend_from_slice(b"\r\n");
    }
    response.extend_from_slice(b"0\r\n\r\n");
    Exchange { request: request_head("GET", "", random), response }
}

fn request_head(method: &str, fields: &str, random: &mut Random) -> Vec<u8> {
    let item = random.below(1_000_000);
    let target = match random.below(3) {
        0 => format!("/api/v2/orders/{item}"),
        1 => format!("/search?q=item-{item}&page={}&sort=price", random.below(50)),
        _ => format!("/static/assets/{item}/app.css"),
    };
    let agent = AGENTS[random.below(AGENTS.len() as u64) as usize];
    // A browser says more than a program.
    let browser = if agent.starts_with("Mozilla") {
        let session = random.below(1 << 32);
        format!(
            "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, \
             br\r\nReferer: http://shop.example/\r\nCookie: session={session:08x}; \
             theme=dark\r\nConnection: keep-alive\r\n"
        )
    } else {
        String::new()
    };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: {agent}\r\nAccept: \
         */*\r\n{browser}{fields}\r\n"
    )
    .into_bytes()
}

fn response_head(status: &str, fields: &str, random: &mut Random) -> Vec<u8> {
    let tag = random.below(1 << 32);
    format!(
        "HTTP/1.1 {status}\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 06:00:00 \
         GMT\r\nContent-Type: text/html; charset=utf-8\r\n{fields}Connection: keep-alive\r\nETag: \
         \"{tag:08x}-4d7\"\r\nX-Request-Id: {tag:08x}\r\n\r\n"
    )
    .into_bytes()
}
