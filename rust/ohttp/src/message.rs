//! The inner messages: binary HTTP of known length, without fields, padded with zeros (RFC 9292, section 3.8).

use std::io::Cursor;

use bhttp::{ControlData, Message, Mode, StatusCode};

use crate::{Error, MESSAGE_MAX, Result};

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
        let message = read(bytes)?;
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
        let message = read(bytes)?;
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

fn read(bytes: &[u8]) -> Result<Message> {
    if bytes.len() > MESSAGE_MAX {
        return Err(Error::Size);
    }
    Message::read_bhttp(&mut Cursor::new(bytes)).map_err(|_| Error::Message)
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
