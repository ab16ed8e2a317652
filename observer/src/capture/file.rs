//! TEMPORARY stand-in of branch `s`; branch `p` owns this module.
use crate::segment::Segment;
use std::{io::Read, path::Path};
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileError(String);
#[derive(Debug)]
pub struct Reader;
impl Reader {
    pub fn open(path: &Path) -> Result<Self, FileError> {
        std::fs::File::open(path)
            .map_err(|e| FileError(format!("cannot open {}: {e}", path.display())))?;
        Ok(Self)
    }
    pub fn new(_: impl Read + 'static, _: &str) -> Result<Self, FileError> {
        Ok(Self)
    }
    pub fn next_segment(&mut self) -> Result<Option<Segment<'_>>, FileError> {
        Ok(None)
    }
}
