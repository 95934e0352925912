//! How far a build is, and the word to stop it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Error, Result};

/// What a build is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Records are read and put into columns; steps are records, each of which is come to three or four times.
    Packing,
    /// The hint is computed, four fifths of the time; steps are blocks of it.
    Hint,
}

/// How far a build is; any thread may look, and stop it.
#[derive(Debug, Default)]
pub struct Progress {
    hint: AtomicBool,
    done: AtomicUsize,
    total: AtomicUsize,
    stopped: AtomicBool,
}

impl Progress {
    /// The phase, how many of its steps are done, and how many there are: 0 of 0 before it is known.
    #[must_use]
    pub fn steps(&self) -> (Phase, usize, usize) {
        let phase = if self.hint.load(Ordering::Relaxed) {
            Phase::Hint
        } else {
            Phase::Packing
        };
        let total = self.total.load(Ordering::Relaxed);
        // A phase may begin between two loads.
        (phase, self.done.load(Ordering::Relaxed).min(total), total)
    }

    /// Let the build end with `Stopped`, in a second or less.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn start(&self, phase: Phase, steps: usize) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(steps, Ordering::Relaxed);
        self.hint.store(phase == Phase::Hint, Ordering::Relaxed);
    }

    pub(crate) fn more(&self, steps: usize) {
        self.total.fetch_add(steps, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, steps: usize) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }
}
