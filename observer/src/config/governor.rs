//! `[governor]`: how much CPU time and memory observer may use before it leaves things out.

use serde::Deserialize;

use super::check::Wrong;
use super::sinks::in_range;
use crate::governor::{Budget, MAX_ADJUSTED_COUNT};

/// Off unless one of the budgets is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Governor {
    /// Of one CPU; 0: as much as it likes.
    pub cpu_percent: u32,
    /// Heap and stacks; 0: as much as it likes.
    pub memory_bytes: u64,
    /// One flow in so many is followed at the last step; 1: never sample.
    pub max_adjusted_count: u32,
}

impl Governor {
    pub fn budget(&self) -> Budget {
        let Self { cpu_percent, memory_bytes, max_adjusted_count } = *self;
        Budget { cpu_percent, memory_bytes, max_adjusted_count }
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        let wrong = |key| move |message| Wrong { section: "governor", key, message };
        if self.cpu_percent != 0 {
            in_range("cpu_percent", self.cpu_percent.into(), 1, 100_000)
                .map_err(wrong("cpu_percent"))?;
        }
        if self.memory_bytes != 0 {
            in_range("memory_bytes", self.memory_bytes, 16 << 20, 1 << 40)
                .map_err(wrong("memory_bytes"))?;
        }
        in_range("max_adjusted_count", self.max_adjusted_count.into(), 1, MAX_ADJUSTED_COUNT.into())
            .map_err(wrong("max_adjusted_count"))
    }
}

impl Default for Governor {
    fn default() -> Self {
        Self { cpu_percent: 0, memory_bytes: 0, max_adjusted_count: MAX_ADJUSTED_COUNT }
    }
}
