//! A member who runs plain OpenMLS: it can make what our own code never makes.

use grue_mls::{Crypto, credential};
use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{
        tls_codec::{Deserialize, Serialize, VLByteVec},
        *,
    },
    schedule::PreSharedKeyId,
};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::signatures::SignerError;

use super::{Account, Device, crypto};

/// What a plain OpenMLS client runs on.
#[derive(Default)]
pub struct Provider {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

const SUITE: Ciphersuite = Ciphersuite::MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519;

/// A bare Ed25519 pair.
#[derive(Clone)]
pub struct Pair {
    private: Vec<u8>,
    pub public: Vec<u8>,
}

impl Pair {
    pub fn new() -> Self {
        let (private, public) = crypto()
            .signature_key_gen(SignatureScheme::ED25519)
            .expect("a key");
        Self { private, public }
    }
}

impl openmls_traits::signatures::Signer for Pair {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        crypto()
            .sign(SignatureScheme::ED25519, payload, &self.private)
            .map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What a key package is made of; the default is what we accept.
pub struct Recipe {
    pub lifetime: Lifetime,
    pub credential: Option<Credential>,
    pub leaf_extensions: Vec<Extension>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            lifetime: Lifetime::init(0, u64::MAX),
            credential: None,
            leaf_extensions: Vec::new(),
        }
    }
}

pub struct Adversary {
    pub provider: Provider,
    pub pair: Pair,
    pub account: Account,
    group: Option<MlsGroup>,
}

impl Adversary {
    pub fn new() -> Self {
        let provider = Provider::default();
        Self {
            provider,
            pair: Pair::new(),
            account: Account::new(),
            group: None,
        }
    }

    pub fn credential_bytes(&self) -> Vec<u8> {
        self.account.certify(&self.pair.public)
    }

    pub fn credential(&self) -> CredentialWithKey {
        self.credential_with(BasicCredential::new(self.credential_bytes()).into())
    }

    fn credential_with(&self, credential: Credential) -> CredentialWithKey {
        CredentialWithKey {
            credential,
            signature_key: self.pair.public.clone().into(),
        }
    }

    pub fn key_package(&self, recipe: Recipe) -> KeyPackage {
        let credential = match recipe.credential {
            Some(credential) => self.credential_with(credential),
            None => self.credential(),
        };
        let extensions = Extensions::from_vec(recipe.leaf_extensions).expect("extensions");
        KeyPackage::builder()
            .leaf_node_capabilities(capabilities(&credential.credential))
            .leaf_node_extensions(extensions)
            .key_package_lifetime(recipe.lifetime)
            .build(SUITE, &self.provider, &self.pair, credential)
            .expect("a key package")
            .into_key_package()
    }

    pub fn key_package_bytes(&self, recipe: Recipe) -> Vec<u8> {
        MlsMessageOut::from(self.key_package(recipe))
            .to_bytes()
            .expect("bytes")
    }

    /// Join the group of an honest founder, who adds us in a commit of its own.
    pub fn join_by(&mut self, founder: &mut Device, policy: WireFormatPolicy) -> Vec<u8> {
        let commit = founder.commit(&[self.key_package_bytes(Recipe::default())], &[]);
        founder.accept();
        self.join(commit.welcome.as_ref().expect("a Welcome"), policy);
        commit.message
    }

    fn join(&mut self, welcome: &[u8], policy: WireFormatPolicy) {
        let message = MlsMessageIn::tls_deserialize_exact(welcome).expect("a message");
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            panic!("no Welcome")
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(policy)
            .number_of_resumption_psks(2)
            .use_ratchet_tree_extension(true)
            .build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)
            .expect("a staged Welcome");
        self.group = Some(staged.into_group(&self.provider).expect("joined"));
    }

    pub fn group(&mut self) -> &mut MlsGroup {
        self.group.as_mut().expect("a group")
    }

    /// Found a group under a credential and with context extensions of one's choice, and invite a
    /// device to it.
    pub fn found(
        &mut self,
        id: &[u8],
        credential: &[u8],
        extensions: Extensions<GroupContext>,
        add: &[u8],
    ) -> Vec<u8> {
        let credential = self.credential_with(BasicCredential::new(credential.to_vec()).into());
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .capabilities(capabilities(&credential.credential))
            .lifetime(Lifetime::init(0, u64::MAX))
            .with_group_context_extensions(extensions)
            .use_ratchet_tree_extension(true)
            .build();
        let id = GroupId::from_slice(id);
        let mut group =
            MlsGroup::new_with_group_id(&self.provider, &self.pair, &config, id, credential)
                .expect("a group");
        let (_, welcome, _) = group
            .add_members(&self.provider, &self.pair, &[package_from(add)])
            .expect("a member");
        self.group = Some(group);
        welcome.to_bytes().expect("bytes")
    }

    /// A commit built as the caller likes.
    pub fn commit(
        &mut self,
        shape: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
    ) -> Vec<u8> {
        let Self {
            provider,
            pair,
            group,
            ..
        } = self;
        let builder = shape(group.as_mut().expect("a group").commit_builder());
        let bundle = builder
            .load_psks(provider.storage())
            .expect("pre-shared keys")
            .build(provider.rand(), provider.crypto(), pair, |_| true)
            .expect("a commit")
            .stage_commit(provider)
            .expect("staged");
        bundle.into_commit().to_bytes().expect("bytes")
    }

    /// A commit whose path puts another key on our leaf.
    pub fn commit_with_new_key(&mut self) -> Vec<u8> {
        let new = Pair::new();
        let credential = BasicCredential::new(self.account.certify(&new.public)).into();
        let credential_with_key = CredentialWithKey {
            credential,
            signature_key: new.public.clone().into(),
        };
        let Self {
            provider,
            pair,
            group,
            ..
        } = self;
        let group = group.as_mut().expect("a group");
        let bundle = group
            .self_update_with_new_signer(
                provider,
                pair,
                NewSignerBundle {
                    signer: &new,
                    credential_with_key,
                },
                LeafNodeParameters::default(),
            )
            .expect("a commit");
        bundle.into_commit().to_bytes().expect("bytes")
    }

    /// An external commit, for whoever has the group's information.
    pub fn external_commit(&self, info: VerifiableGroupInfo) -> Vec<u8> {
        let credential = self.credential();
        let parameters = LeafNodeParameters::builder()
            .with_capabilities(capabilities(&credential.credential))
            .build();
        let (_, bundle) = ExternalCommitBuilder::new()
            .build_group(&self.provider, info, credential)
            .expect("a group")
            .leaf_node_parameters(parameters)
            .load_psks(self.provider.storage())
            .expect("pre-shared keys")
            .build(
                self.provider.rand(),
                self.provider.crypto(),
                &self.pair,
                |_| true,
            )
            .expect("a commit")
            .finalize(&self.provider)
            .expect("a commit");
        bundle.into_commit().to_bytes().expect("bytes")
    }

    /// A proposal to remove somebody, as a message of its own.
    pub fn propose_removal(&mut self, leaf: u32) -> Vec<u8> {
        let Self {
            provider,
            pair,
            group,
            ..
        } = self;
        let (message, _) = group
            .as_mut()
            .expect("a group")
            .propose_remove_member(provider, pair, LeafNodeIndex::new(leaf))
            .expect("a proposal");
        message.to_bytes().expect("bytes")
    }

    /// A commit to a pre-shared key.
    pub fn commit_psk(&mut self, id: PreSharedKeyId) -> Vec<u8> {
        id.store(&self.provider, b"a pre-shared key")
            .expect("stored");
        let proposal = Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)));
        self.commit(|builder| builder.add_proposal(proposal).force_self_update(true))
    }

    /// A proposal of somebody who is no member, to be added.
    pub fn ask_to_be_added(&self, group: &MlsGroup) -> Vec<u8> {
        let package = self.key_package(Recipe::default());
        let (id, epoch) = (group.group_id().clone(), group.epoch());
        JoinProposal::new::<MemoryStorage>(package, id, epoch, &self.pair)
            .expect("a proposal")
            .to_bytes()
            .expect("bytes")
    }

    pub fn group_info(&mut self) -> VerifiableGroupInfo {
        let Self {
            provider,
            pair,
            group,
            ..
        } = self;
        let message = group
            .as_ref()
            .expect("a group")
            .export_group_info(provider.crypto(), pair, true)
            .expect("group information");
        let bytes = message.to_bytes().expect("bytes");
        let message = MlsMessageIn::tls_deserialize_exact(bytes).expect("a message");
        let MlsMessageBodyIn::GroupInfo(info) = message.extract() else {
            panic!("no information")
        };
        info
    }
}

/// A key package as others made it.
pub fn package_from(bytes: &[u8]) -> KeyPackage {
    let message = MlsMessageIn::tls_deserialize_exact(bytes).expect("a message");
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        panic!("no package")
    };
    package
        .validate(&crypto(), ProtocolVersion::Mls10)
        .expect("a valid package")
}

fn capabilities(credential: &Credential) -> Capabilities {
    Capabilities::new(
        None,
        Some(&[SUITE]),
        Some(&[
            ExtensionType::LastResort,
            ExtensionType::ApplicationId,
            ExtensionType::Unknown(0xff00),
        ]),
        Some(&[ProposalType::Custom(0xff00)]),
        Some(&[CredentialType::Basic, credential.credential_type()]),
    )
}

/// The device's credential with one byte changed.
pub fn spoilt(credential: &[u8], at: usize) -> Vec<u8> {
    assert_eq!(credential.len(), credential::CREDENTIAL_BYTES);
    let mut copy = credential.to_vec();
    copy[at] ^= 1;
    copy
}

/// The parts of a key package that can be forged; all else is signed anew over them.
pub struct Forgery {
    pub suite: u16,
    pub init_key: Vec<u8>,
    pub encryption_key: Vec<u8>,
}

impl Adversary {
    /// A key package with forged parts and valid signatures.
    pub fn forged_package(&self, forge: impl FnOnce(&mut Forgery)) -> Vec<u8> {
        let package = self.key_package(Recipe::default());
        let leaf = package.leaf_node().tls_serialize_detached().expect("bytes");
        let (encryption_key, leaf) = split_opaque(&leaf);
        let mut forgery = Forgery {
            suite: SUITE as u16,
            init_key: package.hpke_init_key().as_slice().to_vec(),
            encryption_key,
        };
        forge(&mut forgery);
        let leaf_content = [opaque(&forgery.encryption_key), without_signature(&leaf)].concat();
        let leaf = [
            leaf_content.clone(),
            self.signature("LeafNodeTBS", &leaf_content),
        ]
        .concat();
        let content = [
            [0, 1].to_vec(),
            forgery.suite.to_be_bytes().to_vec(),
            opaque(&forgery.init_key),
            leaf,
            opaque(b""), // extensions
        ]
        .concat();
        let signature = self.signature("KeyPackageTBS", &content);
        [[0, 1, 0, 5].to_vec(), content, signature].concat()
    }

    /// RFC 9420, section 5.1.2: SignWithLabel, as it is encoded.
    fn signature(&self, label: &str, content: &[u8]) -> Vec<u8> {
        let label = format!("MLS 1.0 {label}");
        let signed = [opaque(label.as_bytes()), opaque(content)].concat();
        let signature = crypto().sign(SignatureScheme::ED25519, &signed, &self.pair.private);
        opaque(&signature.expect("a signature"))
    }
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    VLByteVec::from(bytes)
        .tls_serialize_detached()
        .expect("bytes")
}

fn split_opaque(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut rest = bytes;
    let first = VLByteVec::tls_deserialize(&mut rest).expect("a byte string");
    (first.as_slice().to_vec(), rest.to_vec())
}

/// An Ed25519 signature takes 64 bytes, and two for its length.
fn without_signature(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 66].to_vec()
}
