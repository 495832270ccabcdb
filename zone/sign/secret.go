package sign

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
)

// MinSecret is how many octets a secret has at least that all keys are derived from.
const MinSecret = 32

// Derive is the key of a zone that follows from a secret, the zone's name, the number of its rollovers so far and the algorithm, which is
// one that [Generate] makes.
func Derive(secret []byte, zone dname.Name, algorithm uint8, rollover uint32) (*Key, error) {
	private, err := deriveHalf(secret, zone, algorithm, rollover)
	if err != nil {
		return nil, err
	}
	k, err := newKey(zone, CSK, algorithm, private)
	if err == nil {
		k.derived = derived(rollover)
	}
	return k, err
}

// derivation says whether a key is derived, and after how many rollovers: one more than their number; 0 is a key that is not derived.
type derivation uint64

func derived(rollover uint32) derivation { return derivation(rollover) + 1 }

func (d derivation) rollover() uint32 { return uint32(d - 1) }

// NextDerived is the number of rollovers of the key that takes the place of these, if it is derived.
func NextDerived(keys []*Key) (rollover uint32) {
	for _, k := range keys {
		if k.derived != 0 {
			rollover = max(rollover, k.derived.rollover()+1)
		}
	}
	return rollover
}

// deriveHalf is the private key. Of an ECDSA key of P-256, 48 octets of HKDF (RFC 5869) are taken modulo the order of the curve less one,
// and one is added (FIPS 186-5 A.2.1), so that every number is as likely as any other.
func deriveHalf(secret []byte, zone dname.Name, algorithm uint8, rollover uint32) (any, error) {
	info := fmt.Sprintf("mxtrap dnssec %s %d", zone, rollover)
	switch algorithm {
	case dns.ECDSAP256SHA256:
		octets, err := hkdf.Key(sha256.New, secret, nil, info, 48)
		if err != nil {
			return nil, err
		}
		n := new(big.Int).SetBytes(octets)
		n.Mod(n, new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(1)))
		n.Add(n, big.NewInt(1))
		return scalar(n.FillBytes(make([]byte, coordinate(algorithm)))), nil
	case dns.ED25519:
		seed, err := hkdf.Key(sha256.New, secret, nil, info+" ED25519", ed25519.SeedSize)
		if err != nil {
			return nil, err
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	return nil, fmt.Errorf("algorithm %d: mxtrap derives keys of 13 (ECDSAP256SHA256) and 15 (ED25519)", algorithm)
}
