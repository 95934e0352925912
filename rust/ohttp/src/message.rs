//! The inner messages: binary HTTP of known length, without fields, padded with zeros (RFC 9292, section 3.8).

use std::io::Cursor;

use bhttp::{ControlData, Message, Mode, StatusCode};

use crate::{Error, Result};

/// The largest inner message, in bytes. A message is allocated before it is filled.
pub const MESSAGE_MAX: usize = 1 << 20;
/// Every client's is the same: the gateway serves nothing but itself.
const SCHEME: &[u8] = b"https";
const AUTHORITY: &[u8] = b"";

/// What a client asks of the gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Capital letters.
    pub method: String,
    /// A slash, then visible ASCII.
    pub path: String,
    /// The content.
    pub body: Vec<u8>,
}

/// What the gateway replies.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// The content.
    pub body: Vec<u8>,
}

impl Call {
    pub(crate) fn encode(&self, size: usize) -> Result<Vec<u8>> {
        if !is_method(&self.method) || !is_path(&self.path) {
            return Err(Error::Message);
        }
        let message = Message::request(
            self.method.clone().into_bytes(),
            SCHEME.to_vec(),
            AUTHORITY.to_vec(),
            self.path.clone().into_bytes(),
        );
        padded(message, &self.body, size)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let message = read(bytes, Kind::Request)?;
        let ControlData::Request { method, path, .. } = message.control() else {
            return Err(Error::Message);
        };
        let call = Self {
            method: text(method)?,
            path: text(path)?,
            body: message.content().to_vec(),
        };
        same(call.encode(bytes.len()), bytes).map(|()| call)
    }
}

impl Reply {
    pub(crate) fn encode(&self, size: usize) -> Result<Vec<u8>> {
        // One below 200 is informational and would announce another.
        if self.status < 200 {
            return Err(Error::Message);
        }
        let status = StatusCode::try_from(self.status).map_err(|_| Error::Message)?;
        padded(Message::response(status), &self.body, size)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let message = read(bytes, Kind::Response)?;
        let ControlData::Response(status) = message.control() else {
            return Err(Error::Message);
        };
        let reply = Self {
            status: status.code(),
            body: message.content().to_vec(),
        };
        same(reply.encode(bytes.len()), bytes).map(|()| reply)
    }
}

fn is_method(method: &str) -> bool {
    !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Message)
}

fn padded(mut message: Message, body: &[u8], size: usize) -> Result<Vec<u8>> {
    if size > MESSAGE_MAX || body.len() > size {
        return Err(Error::Size);
    }
    message.write_content(body);
    let mut bytes = Vec::with_capacity(size);
    message
        .write_bhttp(Mode::KnownLength, &mut bytes)
        .map_err(|_| Error::Internal)?;
    if bytes.len() > size {
        return Err(Error::Size);
    }
    bytes.resize(size, 0);
    Ok(bytes)
}

/// How a message of ours begins: the first is a request of known length, the second a response.
#[derive(Clone, Copy)]
enum Kind {
    Request = 0,
    Response = 1,
}

fn read(bytes: &[u8], kind: Kind) -> Result<Message> {
    if bytes.len() > MESSAGE_MAX {
        return Err(Error::Size);
    }
    without_fields(bytes, kind).ok_or(Error::Message)?;
    Message::read_bhttp(&mut Cursor::new(bytes)).map_err(|_| Error::Message)
}

/// Refuse fields and trailers before the crate's reader makes an object of each: a MiB of empty ones would take it thirty
/// times the memory, and tens of milliseconds, for what nobody's client writes.
fn without_fields(bytes: &[u8], kind: Kind) -> Option<()> {
    let (&first, mut rest) = bytes.split_first()?;
    if first != kind as u8 {
        return None;
    }
    match kind {
        // Method, scheme, authority and path.
        Kind::Request => {
            for _ in 0..4 {
                rest = after_vector(rest)?;
            }
        }
        // A status below 200 has fields of its own, and another after it.
        Kind::Response => {
            let (status, after) = integer(rest)?;
            rest = after;
            if status < 200 {
                return None;
            }
        }
    }
    let (&fields, content) = rest.split_first()?;
    // The trailer's length, and the padding.
    let zeros = after_vector(content)?;
    (fields == 0 && zeros.iter().all(|&byte| byte == 0)).then_some(())
}

/// What follows the bytes that are preceded by their length.
fn after_vector(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = integer(bytes)?;
    rest.get(usize::try_from(length).ok()?..)
}

/// An integer of variable length (RFC 9000, section 16), and what follows it.
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, _) = bytes.split_first()?;
    let length = 1 << (first >> 6);
    let (number, rest) = bytes.split_at_checked(length)?;
    let value = number
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte));
    Some((value & (u64::MAX >> (66 - 8 * length)), rest))
}

/// Refuse every encoding but ours: the crate's reader leaves the padding unread and takes fields, trailers,
/// other authorities and longer integers, any of which could mark one client among all.
fn same(ours: Result<Vec<u8>>, theirs: &[u8]) -> Result<()> {
    match ours {
        Ok(ours) if ours == theirs => Ok(()),
        _ => Err(Error::Message),
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with so many empty fields in its header, and in its trailer.
    fn with_fields(kind: Kind, header: usize, trailer: usize) -> Vec<u8> {
        let mut message = match kind {
            Kind::Request => Message::request(
                b"POST".to_vec(),
                SCHEME.to_vec(),
                AUTHORITY.to_vec(),
                b"/".to_vec(),
            ),
            Kind::Response => Message::response(StatusCode::OK),
        };
        for _ in 0..header {
            message.put_header("", "");
        }
        message.write_content(b"content");
        for _ in 0..trailer {
            message.put_trailer("", "");
        }
        let mut bytes = Vec::new();
        assert!(message.write_bhttp(Mode::KnownLength, &mut bytes).is_ok());
        bytes
    }

    #[test]
    fn fields_are_refused_before_they_are_parsed() {
        for kind in [Kind::Request, Kind::Response] {
            assert!(without_fields(&with_fields(kind, 0, 0), kind).is_some());
            for (header, trailer) in [(1, 0), (0, 1), (40_000, 0), (0, 40_000)] {
                assert!(without_fields(&with_fields(kind, header, trailer), kind).is_none());
            }
        }
    }

    #[test]
    fn the_other_kind_a_status_before_the_last_and_whatever_is_cut_off_are_refused() {
        let request = with_fields(Kind::Request, 0, 0);
        assert!(without_fields(&request, Kind::Response).is_none());
        assert!(without_fields(&with_fields(Kind::Response, 0, 0), Kind::Request).is_none());
        assert!(without_fields(&[1, 100, 0, 0x40, 200, 0, 0, 0], Kind::Response).is_none());
        // Without the trailer's length it is whole (RFC 9292, section 3.8).
        for length in 0..request.len() - 1 {
            let cut = request.get(..length).unwrap_or_default();
            assert!(without_fields(cut, Kind::Request).is_none());
        }
    }
}
