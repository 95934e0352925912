//! The base file, mapped into memory.

// Mapping a file is unsafe since another process could change or cut it while it is read: a changed byte gives a
// wrong answer, which its client notices, and a file that was cut ends the process with SIGBUS. A base is written
// once, under a name of its own, and only ever removed: then the mapping stays whole.
#![allow(unsafe_code)]

use std::fs::File;

use memmap2::{Mmap, MmapOptions};

use crate::Result;

/// Map a whole file to be read.
pub(crate) fn map(file: &File) -> Result<Mmap> {
    // SAFETY: nobody writes to a base file once it has its name; see above.
    Ok(unsafe { MmapOptions::new().map(file) }?)
}
