//! The one configuration of every group, and every limit with its unit and reason.

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, ExtensionType, Lifetime, MlsGroupCreateConfig,
    MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProtocolVersion,
    SenderRatchetConfiguration, SignatureScheme,
};

/// X-Wing, AES-128-GCM, SHA-256, Ed25519; 0x004F. Part of our protocol version.
pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519;

/// The signature scheme of [`SUITE`].
pub(crate) const SIGNATURES: SignatureScheme = SignatureScheme::ED25519;

/// The only protocol version there is.
pub(crate) const VERSION: ProtocolVersion = ProtocolVersion::Mls10;

/// Bytes of a group id: random, so that nobody can aim for an existing one.
pub const GROUP_ID_BYTES: usize = 32;

/// Bytes of an X-Wing public key: 1,184 for ML-KEM-768, 32 for X25519.
pub(crate) const PUBLIC_KEY_BYTES: usize = 1216;

/// Epochs before the current one whose messages stay readable: an envelope that crossed one commit on
/// its way, and one that waited through two. Each one more keeps keys longer.
pub const MAX_PAST_EPOCHS: usize = 2;

/// Messages of one sender that may arrive out of turn within an epoch. The mailbox has one order for all,
/// so only a device that posts from several processes at once needs any; each costs a kept key.
pub const OUT_OF_ORDER_TOLERANCE: u32 = 32;

/// Messages of one sender that may be missing before one that is read: posts refused by a full mailbox were
/// encrypted all the same. Bounds the work that one forged counter costs.
pub const MAXIMUM_FORWARD_DISTANCE: u32 = 4096;

/// Bytes of the largest input that is parsed: the full tree of 1,000 leaves has 2.9 MB.
pub const MAX_INPUT_BYTES: usize = 4 << 20;

/// Members up to which a Welcome holds the tree. So many take 34 KB: an envelope has room for them and a long first text.
pub const TREE_INSIDE_MEMBERS: usize = 12;

/// The extension of a group info whose tree is elsewhere, from the range for private use (RFC 9420, section 17.3): 32
/// random bytes, which only those who are welcomed learn, to seal with what says where the tree is.
pub(crate) const TREE_SECRET: u16 = 0xf47e;

/// Bytes of such a secret.
pub const TREE_SECRET_BYTES: usize = 32;

/// Clients' clocks are not trusted, so nothing expires here: a key package's age is judged when it is claimed.
pub(crate) fn always() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// What our leaves say they can do. Last resort must be named there for a key package to say it is one.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[VERSION]),
        Some(&[SUITE]),
        Some(&[ExtensionType::LastResort]),
        None,
        Some(&[CredentialType::Basic]),
    )
}

fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_TOLERANCE, MAXIMUM_FORWARD_DISTANCE)
}

/// How a group is created. Our envelope pads and hides handshakes, so MLS does neither.
pub(crate) fn create() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .capabilities(capabilities())
        .lifetime(always())
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .sender_ratchet_configuration(ratchets())
        .max_past_epochs(MAX_PAST_EPOCHS)
        .use_ratchet_tree_extension(true)
        .build()
}

/// How a group is joined: the same.
pub(crate) fn join() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .sender_ratchet_configuration(ratchets())
        .max_past_epochs(MAX_PAST_EPOCHS)
        .use_ratchet_tree_extension(true)
        .build()
}
