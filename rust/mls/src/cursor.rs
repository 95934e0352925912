//! A place in a MessagePack value: read over it without decoding it.

use std::ops::Range;

use rmp::Marker;

/// A place in a MessagePack value.
pub(crate) struct Cursor<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Self {
        Self { value, at: 0 }
    }

    /// Read a map whose keys are names: `visit` reads over the value of each.
    pub(crate) fn fields(
        &mut self,
        mut visit: impl FnMut(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        for _ in 0..self.map()? {
            let name = self.key()?;
            visit(self, name)?;
        }
        Some(())
    }

    /// Read over one value: where it is.
    pub(crate) fn span(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.skip()?;
        Some(start..self.at)
    }

    /// Read over one value: its bytes.
    pub(crate) fn value(&mut self) -> Option<&'a [u8]> {
        let span = self.span()?;
        self.value.get(span)
    }

    /// A number of 32 bits.
    pub(crate) fn unsigned(&mut self) -> Option<usize> {
        match self.marker()? {
            Marker::U32 => self.number(4),
            _ => None,
        }
    }

    /// A byte string.
    pub(crate) fn binary(&mut self) -> Option<&'a [u8]> {
        let length = match self.marker()? {
            Marker::Bin8 => self.number(1)?,
            Marker::Bin16 => self.number(2)?,
            Marker::Bin32 => self.number(4)?,
            _ => return None,
        };
        self.bytes(length)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.value.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    /// A big-endian number.
    fn number(&mut self, width: usize) -> Option<usize> {
        let bytes = self.bytes(width)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        )
    }

    fn marker(&mut self) -> Option<Marker> {
        self.bytes(1)?.first().copied().map(Marker::from_u8)
    }

    fn map(&mut self) -> Option<usize> {
        match self.marker()? {
            Marker::FixMap(count) => Some(usize::from(count)),
            Marker::Map16 => self.number(2),
            Marker::Map32 => self.number(4),
            _ => None,
        }
    }

    pub(crate) fn array(&mut self) -> Option<usize> {
        match self.marker()? {
            Marker::FixArray(count) => Some(usize::from(count)),
            Marker::Array16 => self.number(2),
            Marker::Array32 => self.number(4),
            _ => None,
        }
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let length = match self.marker()? {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 => self.number(1)?,
            _ => return None,
        };
        self.bytes(length)
    }

    /// Read over one value, with all that is in it.
    fn skip(&mut self) -> Option<()> {
        let mut left: usize = 1;
        while left > 0 {
            left = left.checked_sub(1)?.checked_add(self.skip_head()?)?;
        }
        Some(())
    }

    /// Read over a scalar or the head of a container, and say how many values it contains.
    fn skip_head(&mut self) -> Option<usize> {
        let length = match self.marker()? {
            Marker::FixMap(count) => return usize::from(count).checked_mul(2),
            Marker::Map16 => return self.number(2)?.checked_mul(2),
            Marker::Map32 => return self.number(4)?.checked_mul(2),
            Marker::FixArray(count) => return Some(usize::from(count)),
            Marker::Array16 => return self.number(2),
            Marker::Array32 => return self.number(4),
            marker => self.length(marker)?,
        };
        self.bytes(length).map(|_| 0)
    }

    /// The bytes that a scalar has after its marker and length.
    fn length(&mut self, marker: Marker) -> Option<usize> {
        match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                Some(0)
            }
            Marker::U8 | Marker::I8 => Some(1),
            Marker::U16 | Marker::I16 => Some(2),
            Marker::U32 | Marker::I32 | Marker::F32 => Some(4),
            Marker::U64 | Marker::I64 | Marker::F64 => Some(8),
            Marker::FixStr(length) => Some(usize::from(length)),
            Marker::Str8 | Marker::Bin8 => self.number(1),
            Marker::Str16 | Marker::Bin16 => self.number(2),
            Marker::Str32 | Marker::Bin32 => self.number(4),
            _ => None, // extensions: serde makes none
        }
    }
}
