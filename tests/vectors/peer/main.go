// A reader of known_answers.json that shares no code with Grue: Go's own crypto/hpke answers what it can.
//
//	go run ./tests/vectors/peer tests/vectors/known_answers.json
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

type entry struct {
	Name    string
	Inputs  map[string]string
	Outputs map[string]string
}

const encapsulated = 1120

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func (e entry) in(name string) []byte  { return must(hex.DecodeString(e.Inputs[name])) }
func (e entry) out(name string) []byte { return must(hex.DecodeString(e.Outputs[name])) }

func private(seed []byte) hpke.PrivateKey { return must(hpke.MLKEM768X25519().NewPrivateKey(seed)) }

func open(key hpke.PrivateKey, aead uint16, info, aad, enc, sealed []byte) []byte {
	receiver := must(hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), must(hpke.NewAEAD(aead)), info))
	return must(receiver.Open(aad, sealed))
}

func deriveKeyPair(e entry) bool {
	key := must(hpke.MLKEM768X25519().DeriveKeyPair(e.in("ikm")))
	return bytes.Equal(must(key.Bytes()), e.out("private")) && bytes.Equal(key.PublicKey().Bytes(), e.out("public"))
}

func hpkeOpen(e entry) bool {
	aead := uint16(e.in("aead")[1])
	opened := open(private(e.in("private")), aead, e.in("info"), e.in("aad"), e.in("encapsulated"), e.in("sealed"))
	return bytes.Equal(opened, e.out("plaintext"))
}

// The account's secret is imported as it is; inside are the body, after its header, and the server's signature at the end.
func smsOpen(e entry) bool {
	key, context, sealed := private(e.in("secret")), []byte("grue inbound sms v1"), e.in("sealed")
	signed := open(key, 0x0003, context, nil, sealed[:encapsulated], sealed[encapsulated:])
	message := append(context, e.out("sms")...)
	return bytes.Equal(key.PublicKey().Bytes(), e.out("public")) && bytes.Contains(signed, e.out("sms")) &&
		ed25519.Verify(e.in("server_public"), message, signed[len(signed)-ed25519.SignatureSize:])
}

func keyPair(e entry) bool {
	return bytes.Equal(private(e.in("seed")).PublicKey().Bytes(), e.out("public"))
}

func main() {
	answers := map[string]func(entry) bool{
		"x-wing-key-pair":         keyPair,
		"mls-derive-key-pair":     deriveKeyPair,
		"hpke-pq-derive-key-pair": deriveKeyPair,
		"hpke-pq-open":            hpkeOpen,
		"mls-hpke-open":           hpkeOpen,
		"sms-open":                smsOpen,
	}
	var file struct{ Entries []entry }
	if err := json.Unmarshal(must(os.ReadFile(os.Args[1])), &file); err != nil {
		panic(err)
	}
	for _, e := range file.Entries {
		if answer, ok := answers[e.Name]; ok {
			fmt.Println(e.Name, answer(e))
		}
	}
}
