//! Takeovers of real connections, and what they carry. What the event counts is what the endpoints
//! counted.

mod bulk;
mod chisel;
mod go;
mod proxy;
mod websocket;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::event::Event;

/// Sends, and does not return before it has arrived.
fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    to.read_exact(&mut vec![0; bytes.len()]).unwrap();
}

/// A WebSocket frame, the last of its message.
fn frame(opcode: u8, content: &[u8], masked: bool) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(content.len()) {
        Ok(n) if n < 126 => frame.push(mask_bit | n),
        _ => {
            frame.push(mask_bit | 126);
            frame.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    if masked {
        frame.extend(MASK);
        frame.extend(content.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend(content);
    }
    frame
}

/// What the event counts to the server and to the client.
fn tunnel_bytes(event: &Event) -> (u64, u64) {
    let number = |key: &str| event.number(&format!("/obs/tunnel/{key}"));
    (number("bytes_to_server"), number("bytes_to_client"))
}
