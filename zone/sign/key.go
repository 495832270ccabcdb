package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"weak"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
)

// Flags of a DNSKEY record (RFC 4034 2.1.1).
const (
	flagZone    = 256
	flagSEP     = 1
	flagRevoked = 128

	CSK = flagZone | flagSEP // signs everything, or where there is a ZSK the keys alone
	ZSK = flagZone           // signs all but the keys
)

// Key is a key of a zone.
type Key struct {
	Zone      dname.Name
	Flags     uint16
	Algorithm uint8
	Times     Times
	Tag       uint16 // RFC 4034 B

	public  []byte     // as a DNSKEY record has it
	private any        // a scalar, an ed25519.PrivateKey or an *rsa.PrivateKey
	derived derivation // its files have the number of rollovers in the place of the private key

	mu     sync.Mutex
	opened weak.Pointer[ecdsa.PrivateKey] // of a scalar
}

// scalar is the private key of an ECDSA algorithm. There are very many keys, and what the library makes of one takes far more memory, so
// that is kept only between signatures that follow each other.
type scalar []byte

// IsEntry says whether the parent's DS names this key: its flags have the bit SEP (RFC 4034 2.1.1).
func (k *Key) IsEntry() bool { return k.Flags&flagSEP != 0 }

// same says whether two keys are one, whatever their times are.
func (k *Key) same(other *Key) bool {
	return k == other || k.Flags == other.Flags && k.Algorithm == other.Algorithm && bytes.Equal(k.public, other.public)
}

// copy is the key again, for other times.
func (k *Key) copy() *Key {
	return &Key{Zone: k.Zone, Flags: k.Flags, Algorithm: k.Algorithm, Times: k.Times, Tag: k.Tag, public: k.public, private: k.private, derived: k.derived}
}

// Check says whether the private key and the public key are not of one pair. A key that was only read may be wrong in that.
func (k *Key) Check() error {
	if _, isScalar := k.private.(scalar); isScalar {
		_, err := k.open()
		return err
	}
	public, err := publicData(k.private, k.Algorithm)
	if err == nil && !bytes.Equal(public, k.public) {
		err = errNoPair
	}
	return err
}

// errNoPair is the fault of two files that are of different keys.
var errNoPair = errors.New("the private key and the public key are not of one pair")

// open is the private key of an ECDSA algorithm, as the library has it.
func (k *Key) open() (*ecdsa.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.opened.Value(); p != nil {
		return p, nil
	}
	p, err := k.private.(scalar).open(k.Algorithm)
	if err != nil {
		return nil, err
	}
	if octets, err := p.PublicKey.Bytes(); err != nil || !bytes.Equal(octets[1:], k.public) {
		return nil, errNoPair
	}
	k.opened = weak.Make(p)
	return p, nil
}

// open makes the key that the library signs with.
func (s scalar) open(algorithm uint8) (*ecdsa.PrivateKey, error) {
	curve := elliptic.P256()
	if algorithm == dns.ECDSAP384SHA384 {
		curve = elliptic.P384()
	}
	return ecdsa.ParseRawPrivateKey(curve, s)
}

// complete fills in what follows from the rest.
func (k *Key) complete() {
	data := k.Data()
	var sum uint32
	for i, octet := range data {
		if i%2 == 0 {
			sum += uint32(octet) << 8
		} else {
			sum += uint32(octet)
		}
	}
	k.Tag = uint16(sum + sum>>16)
}

// Data is the key as the data of a DNSKEY record.
func (k *Key) Data() []byte {
	data := binary.BigEndian.AppendUint16(make([]byte, 0, 4+len(k.public)), k.Flags)
	return append(append(data, 3, k.Algorithm), k.public...)
}

// The digests of a DS record (RFC 4509, RFC 6605).
const (
	SHA256 = dns.SHA256
	sha384 = dns.SHA384
)

// DS is the key as the data of a DS record, with a digest of that type.
func (k *Key) DS(digest uint8) []byte {
	data := binary.BigEndian.AppendUint16(nil, k.Tag)
	data = append(data, k.Algorithm, digest)
	text := append([]byte(k.Zone), k.Data()...)
	switch digest {
	case dns.SHA1:
		sum := sha1.Sum(text)
		return append(data, sum[:]...)
	case sha384:
		sum := sha512.Sum384(text)
		return append(data, sum[:]...)
	default:
		sum := sha256.Sum256(text)
		return append(data, sum[:]...)
	}
}

// Is says whether a DS record, of whatever digest we know, is this key's.
func (k *Key) Is(ds []byte) bool {
	return len(ds) > 4 && (ds[3] == dns.SHA1 || ds[3] == SHA256 || ds[3] == sha384) && bytes.Equal(ds, k.DS(ds[3]))
}

// IsDerived says whether the private key is not in the key's files, but follows from a secret.
func (k *Key) IsDerived() bool { return k.derived != 0 }

// String names the key as its files are named.
func (k *Key) String() string { return k.File() }

// Generate makes a key that signs everything (a CSK) with one of the algorithms that [Makes] names.
func Generate(zone dname.Name, algorithm uint8) (*Key, error) {
	switch algorithm {
	case dns.ECDSAP256SHA256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return newKey(zone, CSK, algorithm, private)
	case dns.ED25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return newKey(zone, CSK, algorithm, private)
	}
	return nil, fmt.Errorf("algorithm %d: mxtrap makes keys of 13 (ECDSAP256SHA256) and 15 (ED25519)", algorithm)
}

// newKey is the key of a private one.
func newKey(zone dname.Name, flags uint16, algorithm uint8, private any) (*Key, error) {
	if p, ok := private.(*ecdsa.PrivateKey); ok {
		octets, err := p.Bytes()
		if err != nil {
			return nil, err
		}
		private = scalar(octets)
	}
	public, err := publicData(private, algorithm)
	if err != nil {
		return nil, err
	}
	k := &Key{Zone: zone, Flags: flags, Algorithm: algorithm, public: public, private: private}
	k.complete()
	return k, nil
}

// publicData is the public half of a private key, as a DNSKEY record has it.
func publicData(private any, algorithm uint8) ([]byte, error) {
	switch p := private.(type) {
	case scalar:
		if len(p) != coordinate(algorithm) {
			break
		}
		whole, err := p.open(algorithm)
		if err != nil {
			return nil, err
		}
		octets, err := whole.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		return octets[1:], nil // RFC 6605 4: without the octet that says "uncompressed"
	case ed25519.PrivateKey:
		if algorithm == dns.ED25519 {
			return p[ed25519.SeedSize:], nil
		}
	case *rsa.PrivateKey:
		if algorithm == dns.RSASHA256 || algorithm == dns.RSASHA512 {
			return appendRSA(&p.PublicKey), nil
		}
	}
	return nil, fmt.Errorf("the private key is not one of algorithm %d", algorithm)
}

// appendRSA is RFC 3110 2.
func appendRSA(p *rsa.PublicKey) (data []byte) {
	e := big.NewInt(int64(p.E)).Bytes()
	if len(e) < 256 {
		data = append(data, byte(len(e)))
	} else {
		data = binary.BigEndian.AppendUint16(append(data, 0), uint16(len(e)))
	}
	return append(append(data, e...), p.N.Bytes()...)
}

// coordinate is how many octets a number of an ECDSA algorithm has; 0: it is none.
func coordinate(algorithm uint8) int {
	switch algorithm {
	case dns.ECDSAP256SHA256:
		return 32
	case dns.ECDSAP384SHA384:
		return 48
	}
	return 0
}

// SignatureSize is how many octets a signature of the key has.
func (k *Key) SignatureSize() int {
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		return p.Size()
	case scalar:
		return 2 * len(p)
	}
	return ed25519.SignatureSize
}

// sign appends the signature of a text. It is the same at all times: ECDSA's are made as RFC 6979 says, when no random source is given.
func (k *Key) sign(to, text []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return append(to, ed25519.Sign(private, text)...), nil
	case *rsa.PrivateKey:
		hash, sum := crypto.SHA256, sha256.Sum256(text)
		digest := sum[:]
		if k.Algorithm == dns.RSASHA512 {
			sum := sha512.Sum512(text)
			hash, digest = crypto.SHA512, sum[:]
		}
		s, err := rsa.SignPKCS1v15(nil, private, hash, digest)
		return append(to, s...), err
	case scalar:
		opened, err := k.open()
		if err != nil {
			return to, err
		}
		hash, sum := crypto.SHA256, sha256.Sum256(text)
		digest := sum[:]
		if k.Algorithm == dns.ECDSAP384SHA384 {
			sum := sha512.Sum384(text)
			hash, digest = crypto.SHA384, sum[:]
		}
		der, err := opened.Sign(nil, digest, hash)
		if err != nil {
			return to, err
		}
		return appendNumbers(to, der, len(private)), nil
	}
	return to, fmt.Errorf("%s: the private key is missing", k)
}

// appendNumbers appends the two numbers of an ECDSA signature, each with so many octets, as RFC 6605 4 wants them. The library gives them in
// DER, a sequence of integers that all have fewer than 128 octets here. A general decoder of DER takes a twentieth of the whole signature.
func appendNumbers(to, der []byte, size int) []byte {
	for rest := der[2:]; len(rest) > 0; {
		number := bytes.TrimLeft(rest[2:2+rest[1]], "\x00")
		rest = rest[2+rest[1]:]
		to = append(to, make([]byte, size-len(number))...)
		to = append(to, number...)
	}
	return to
}
