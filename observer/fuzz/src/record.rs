//! Record decode: any bytes are a record or an error, and what a record becomes is inside it.
//!
//! The input is one record; what decodes goes through a pipeline, because addresses, flags and
//! lengths of any kind are what the engine gets from a ring that something else wrote.

use observer::decode::{ClockOffset, DecodeError, decode};
use observer::pipeline::{Config, Pipeline};
use observer::segment::Timestamp;
use observer_common::record::HEADER_LEN;

pub fn check(data: &[u8]) {
    let decoded = decode(data, ClockOffset(0));
    assert_eq!(
        matches!(decoded, Err(DecodeError::ShortHeader)),
        data.len() < HEADER_LEN,
        "a record is short exactly when its header is cut"
    );
    let Ok(segment) = decoded else { return };
    assert!(segment.payload.len() <= segment.payload_len as usize);
    assert_eq!(
        segment.payload,
        &data[HEADER_LEN..HEADER_LEN + segment.payload.len()],
        "the payload is what follows the header"
    );
    assert!(segment.flags.0 <= 0x0fff, "there are twelve flags");
    for clock in [i64::MIN, i64::MAX] {
        let moved = decode(data, ClockOffset(clock)).expect("the clock does not decide");
        assert_eq!(moved.time, Timestamp(segment.time.0.saturating_add_signed(clock)));
    }
    let mut pipeline = Pipeline::new(Config::default());
    for _ in 0..2 {
        pipeline.handle_segment(&segment);
    }
    pipeline.finish(segment.time);
    assert_eq!(pipeline.stats().table.flows, 0);
    while let Some(event) = pipeline.poll_event() {
        let mut line = Vec::new();
        event.write_json(&mut line);
        serde_json::from_slice::<serde_json::Value>(&line).expect("an event is JSON");
    }
}
