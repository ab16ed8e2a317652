//! Capture files: any bytes are read to their end or to one error, and every packet counts once.

use std::io::{Cursor, Read};

use observer::capture::file::{Reader, ReaderOptions};

pub fn check(data: &[u8]) {
    let whole = read(Cursor::new(data.to_vec()), data.len());
    // A pipe hands out what it has: the same file in small pieces is the same file.
    let pieces = read(Pieces { bytes: data.to_vec(), at: 0 }, data.len());
    assert_eq!(whole, pieces, "how the file is read does not decide what it holds");
}

/// Reads everything; returns what was found, for comparison.
fn read(source: impl Read + Send + 'static, n_bytes: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = match Reader::new(source, "input") {
        Ok(reader) => reader.with_options(ReaderOptions { verify_checksums: true }),
        Err(error) => return vec![error.to_string()],
    };
    loop {
        match reader.next_segment() {
            Ok(Some(segment)) => {
                assert!(segment.payload.len() <= segment.payload_len as usize);
                assert!(segment.payload.len() <= n_bytes.max(65_536), "payload out of nothing");
                assert!(segment.flags.0 <= 0x0fff, "there are twelve flags");
                found.push(format!("{segment:?}"));
            }
            Ok(None) => break,
            Err(error) => {
                found.push(error.to_string());
                assert!(matches!(reader.next_segment(), Ok(None)), "an error comes once");
                break;
            }
        }
        assert!(found.len() <= n_bytes, "more segments than bytes");
    }
    let c = reader.counters();
    assert_eq!(
        c.packets,
        c.segments
            + c.not_tcp
            + c.fragments
            + c.cut_short
            + c.malformed
            + c.too_deep
            + c.unknown_link,
        "each packet counts once: {c:?}"
    );
    assert!(c.cut_payloads <= c.segments && c.damaged <= c.segments && c.reassembled <= c.packets);
    found.push(format!("{c:?}"));
    found
}

/// Hands out at most seven bytes at a time.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let n = rest.len().min(buffer.len()).min(7);
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
