package sign

import (
	"crypto/ecdsa"
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

// Derive is the key of a zone that follows from a secret, the zone's name and the number of its rollovers so far. It is an ECDSA key of
// P-256: 48 octets of HKDF (RFC 5869) are taken modulo the order of the curve less one, and one is added (FIPS 186-5 A.2.1), so that
// every number is as likely as any other.
func Derive(secret []byte, zone dname.Name, rollover uint32, times Times) (*Key, error) {
	octets, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("mxtrap dnssec %s %d", zone, rollover), 48)
	if err != nil {
		return nil, err
	}
	n := new(big.Int).SetBytes(octets)
	n.Mod(n, new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(1)))
	n.Add(n, big.NewInt(1))
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), n.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, err
	}
	k, err := newKey(zone, CSK, dns.ECDSAP256SHA256, private)
	if err == nil {
		k.Times = times
	}
	return k, err
}
