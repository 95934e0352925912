// A member of a group that is not Grue: ts-mls, which is asked by a line of JSON and answers with one. Bytes are hexadecimal.
//
// ts-mls has no suite 0x004F. It is made here of what it has of suite 1 (AES-128-GCM, SHA-256, Ed25519) and of X-Wing from
// `hpke`, which derives key pairs with labels as Grue does. `node peer.mjs unlabelled` derives them as ts-mls's own X-Wing does.
import { createInterface } from "node:readline";
import { AEAD_AES_128_GCM, KDF_HKDF_SHA256, KEM_MLKEM768_X25519 } from "@panva/hpke-noble";
import { XWing } from "@hpke/hybridkem-x-wing";
import { CipherSuite } from "hpke";
import * as mls from "ts-mls";

const SUITE = 0x004f;
const LAST_RESORT = 0x000a;
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));

const suite = new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_AES_128_GCM);

async function unlabelled(ikm) {
  const kem = new XWing();
  const pair = await kem.deriveKeyPair(ikm.slice().buffer);
  return {
    privateKey: await suite.DeserializePrivateKey(new Uint8Array(await kem.serializePrivateKey(pair.privateKey)), true),
    publicKey: await suite.DeserializePublicKey(new Uint8Array(await kem.serializePublicKey(pair.publicKey))),
  };
}

const base = await mls.getCiphersuiteImpl("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519");
const hpke = {
  ...base.hpke, // AES-128-GCM of messages, and the lengths of its key and nonce
  open: (key, enc, ciphertext, info, aad) => suite.Open(key, enc, ciphertext, { info, aad }),
  seal: async (key, plaintext, info, aad) => {
    const { encapsulatedSecret, ciphertext } = await suite.Seal(key, plaintext, { info, aad });
    return { ct: ciphertext, enc: encapsulatedSecret };
  },
  importPrivateKey: (key) => suite.DeserializePrivateKey(key, true),
  importPublicKey: (key) => suite.DeserializePublicKey(key),
  exportPrivateKey: (key) => suite.SerializePrivateKey(key),
  exportPublicKey: (key) => suite.SerializePublicKey(key),
  generateKeyPair: () => suite.GenerateKeyPair(true),
  deriveKeyPair: (ikm) => (process.argv[2] === "unlabelled" ? unlabelled(ikm) : suite.DeriveKeyPair(ikm, true)),
};

const context = {
  cipherSuite: { ...base, id: SUITE, hpke },
  authService: mls.unsafeTestingAuthenticationService, // it is Grue's checks that are on trial
};
const signatureKeyPair = await base.signature.keygen();
let own; // the key package, and its private part
let state; // of the group

const wire = (message) => hex(mls.encode(mls.mlsMessageEncoder, message));
const read = (message) => mls.decode(mls.mlsMessageDecoder, bytes(message));
const told = () => ({ epoch: Number(state.groupContext.epoch), members: mls.getGroupMembers(state).length });

const answers = {
  signature_key: () => ({ key: hex(signatureKeyPair.publicKey) }),

  async key_package({ credential }) {
    own = await mls.generateKeyPackageWithKey({
      credential: { credentialType: mls.defaultCredentialTypes.basic, identity: bytes(credential) },
      capabilities: {
        versions: [mls.protocolVersions.mls10],
        ciphersuites: [SUITE],
        extensions: [LAST_RESORT],
        proposals: [],
        credentials: [mls.defaultCredentialTypes.basic],
      },
      lifetime: { notBefore: 0n, notAfter: 2n ** 64n - 1n },
      extensions: [],
      signatureKeyPair,
      cipherSuite: context.cipherSuite,
    });
    const version = mls.protocolVersions.mls10;
    return { package: wire({ keyPackage: own.publicPackage, wireformat: mls.wireformats.mls_key_package, version }) };
  },

  async found({ group }) {
    const keys = { keyPackage: own.publicPackage, privateKeyPackage: own.privatePackage };
    state = await mls.createGroup({ context, groupId: bytes(group), ...keys });
    return told();
  },

  async join({ welcome }) {
    const keys = { keyPackage: own.publicPackage, privateKeys: own.privatePackage };
    state = await mls.joinGroup({ context, welcome: read(welcome).welcome, ...keys });
    return told();
  },

  async process({ message }) {
    const result = await mls.processMessage({ context, state, message: read(message) });
    state = result.newState;
    return result.kind === "applicationMessage" ? { text: hex(result.message), data: hex(result.aad) } : told();
  },

  async encrypt({ text, data }) {
    const result = await mls.createApplicationMessage({ context, state, message: bytes(text), authenticatedData: bytes(data) });
    state = result.newState;
    return { message: wire(result.message) };
  },

  async commit({ add }) {
    const extraProposals = add.map((one) => ({ proposalType: mls.defaultProposalTypes.add, add: { keyPackage: read(one).keyPackage } }));
    const how = { wireAsPublicMessage: true, ratchetTreeExtension: true };
    const result = await mls.createCommit({ context, state, extraProposals, ...how });
    state = result.newState;
    return { message: wire(result.commit), welcome: result.welcome ? wire(result.welcome) : "", ...told() };
  },

  async exporter({ label, length }) {
    const secret = await mls.mlsExporter(state.keySchedule.exporterSecret, label, new Uint8Array(), length, context.cipherSuite);
    return { secret: hex(secret) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...rest } = JSON.parse(line);
  try {
    console.log(JSON.stringify(await answers[ask](rest)));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  }
}
