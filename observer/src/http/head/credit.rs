//! Whether to look for what was read before: as long as it is found often enough.
//!
//! Where each message says something else, looking for it and keeping it are in vain; then only a few
//! are looked for, in case that they begin to come again.

/// Each one that was known pays for looking for one that is not, and keeping it; up to so many in
/// turn.
const MAX_CREDIT: u8 = 64;

/// Without credit one in so many is looked for and kept.
pub(super) const ONE_IN: u8 = 16;

/// The account.
#[derive(Debug)]
pub(super) struct Credit {
    /// How many may be looked for in vain.
    left: u8,
    /// Where none may: counts to [`ONE_IN`], and from the beginning again.
    n_passed: u8,
}

impl Credit {
    pub(super) const fn new() -> Self {
        Self { left: 0, n_passed: 0 }
    }

    /// Another one comes. Returns whether to look for it.
    #[inline]
    pub(super) fn begin(&mut self) -> bool {
        if self.left == 0 {
            self.n_passed = self.n_passed.saturating_add(1) % ONE_IN;
        }
        self.is_worth_it()
    }

    /// It was known.
    #[inline]
    pub(super) fn earn(&mut self) {
        self.left = self.left.saturating_add(1).min(MAX_CREDIT);
    }

    /// It was not. Returns whether to keep it.
    #[inline]
    pub(super) fn spend(&mut self) -> bool {
        let worth_it = self.is_worth_it();
        self.left = self.left.saturating_sub(1);
        worth_it
    }

    fn is_worth_it(&self) -> bool {
        self.left > 0 || self.n_passed == 0
    }
}
