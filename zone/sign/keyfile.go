package sign

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// The two files of a key, as BIND names them.
const (
	PublicFile  = ".key"
	PrivateFile = ".private"
)

// FilesOf is what the names of all files of a zone's keys begin with. Octets that a file name may not have are written as BIND does.
func FilesOf(zone dname.Name) string {
	name := []byte("K")
	for n := zone; !n.IsRoot(); n = n.Parent() {
		for _, c := range []byte(n.Label()) {
			if c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' {
				name = append(name, c)
			} else {
				name = fmt.Appendf(name, "%%%02X", c)
			}
		}
		name = append(name, '.')
	}
	if zone.IsRoot() {
		name = append(name, '.')
	}
	return string(append(name, '+'))
}

// File is what the key's two files are called, without their endings.
func (k *Key) File() string { return fmt.Sprintf("%s%03d+%05d", FilesOf(k.Zone), k.Algorithm, k.Tag) }

// ParseKey reads a key's two files, which must be of one key.
func ParseKey(public, private []byte) (*Key, error) {
	k, err := parsePublic(public)
	if err != nil {
		return nil, err
	}
	p, err := parsePrivate(private)
	if err != nil {
		return nil, err
	}
	if p.algorithm != k.Algorithm {
		return nil, fmt.Errorf("the private key is one of algorithm %d, the public key of %d", p.algorithm, k.Algorithm)
	}
	derived, err := publicData(p.signer, k.Algorithm)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(derived, k.public) {
		return nil, errors.New("the private key and the public key are not of one pair")
	}
	k.private, k.Times = p.signer, p.times
	return k, nil
}

// Import is a private key that came without its public file, as another program exports it: in BIND's format or as PEM.
func Import(zone dname.Name, flags uint16, text []byte) (*Key, error) {
	if block, _ := pem.Decode(text); block != nil {
		private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		switch p := private.(type) {
		case *ecdsa.PrivateKey:
			if p.Curve == elliptic.P384() {
				return newKey(zone, flags, dns.ECDSAP384SHA384, p)
			}
			return newKey(zone, flags, dns.ECDSAP256SHA256, p)
		case ed25519.PrivateKey:
			return newKey(zone, flags, dns.ED25519, p)
		case *rsa.PrivateKey:
			return newKey(zone, flags, dns.RSASHA256, p)
		}
		return nil, fmt.Errorf("a key of a kind that DNSSEC does not have: %T", private)
	}
	p, err := parsePrivate(text)
	if err != nil {
		return nil, err
	}
	k, err := newKey(zone, flags, p.algorithm, p.signer)
	if err == nil {
		k.Times = p.times
	}
	return k, err
}

// parsePublic reads a .key file: comments and one DNSKEY record.
func parsePublic(text []byte) (*Key, error) {
	var record string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, ";")
		record += strings.TrimRight(line, "\r\n") + " "
	}
	if strings.TrimSpace(record) == "" {
		return nil, errors.New("the file has no DNSKEY record")
	}
	owner, data, _ := strings.Cut(strings.TrimSpace(record), " ")
	if tab, rest, found := strings.Cut(owner, "\t"); found {
		owner, data = tab, rest+" "+data
	}
	zone, err := dname.Parse(owner, dname.Root)
	if err != nil {
		return nil, err
	}
	r, err := rr.ParseRecord(strings.NewReplacer("(", " ", ")", " ").Replace(data), string(dname.Root), 0)
	switch {
	case err != nil:
		return nil, err
	case r.Type != dns.TypeDNSKEY:
		return nil, fmt.Errorf("the file has a record of type %s in the place of a DNSKEY record", dns.Type(r.Type))
	case r.Data[0]&1 == 0:
		return nil, errors.New("the flags say that this is not the key of a zone (RFC 4034 2.1.1)")
	}
	k := &Key{Zone: zone, Flags: uint16(r.Data[0])<<8 | uint16(r.Data[1]), Algorithm: r.Data[3], public: r.Data[4:]}
	k.complete()
	return k, nil
}

// privateKey is what a .private file holds.
type privateKey struct {
	algorithm uint8
	signer    crypto.Signer
	times     Times
}

// parsePrivate reads BIND's format, from version 1.2 on: a field in each line.
func parsePrivate(text []byte) (p privateKey, err error) {
	fields := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return p, err
	}
	if f := fields["Private-key-format"]; !strings.HasPrefix(f, "v1.") {
		return p, errors.New(`this is no private key: its first line must be "Private-key-format: v1.3"`)
	}
	number, _, _ := strings.Cut(fields["Algorithm"], " ")
	n, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return p, fmt.Errorf("Algorithm: %q is no number", number)
	}
	p.algorithm = uint8(n)
	for _, t := range p.times.each() {
		if text := fields[t.name]; text != "" {
			if *t.at, err = parseTime(text); err != nil {
				return p, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	p.signer, err = parseSigner(p.algorithm, fields)
	return p, err
}

// parseSigner makes the private key of its fields.
func parseSigner(algorithm uint8, fields map[string]string) (crypto.Signer, error) {
	value := func(name string) ([]byte, error) {
		v, err := base64.StdEncoding.DecodeString(fields[name])
		if err != nil || len(v) == 0 {
			return nil, fmt.Errorf("%s: not what base64 makes of a key", name)
		}
		return v, nil
	}
	switch algorithm {
	case dns.ECDSAP256SHA256, dns.ECDSAP384SHA384:
		v, err := value("PrivateKey")
		if err != nil {
			return nil, err
		}
		size := coordinate(algorithm)
		if len(v) > size {
			return nil, fmt.Errorf("PrivateKey: longer than %d octets", size)
		}
		curve := elliptic.P256()
		if algorithm == dns.ECDSAP384SHA384 {
			curve = elliptic.P384()
		}
		return ecdsa.ParseRawPrivateKey(curve, append(make([]byte, size-len(v)), v...)) // some programs leave leading zeros out
	case dns.ED25519:
		v, err := value("PrivateKey")
		if err != nil {
			return nil, err
		}
		if len(v) != ed25519.SeedSize {
			return nil, fmt.Errorf("PrivateKey: not %d octets", ed25519.SeedSize)
		}
		return ed25519.NewKeyFromSeed(v), nil
	case dns.RSASHA256, dns.RSASHA512:
		private := new(rsa.PrivateKey)
		var numbers [5]*big.Int
		for i, name := range []string{"Modulus", "PublicExponent", "PrivateExponent", "Prime1", "Prime2"} {
			v, err := value(name)
			if err != nil {
				return nil, err
			}
			if len(v) > maxRSA/8 {
				return nil, fmt.Errorf("%s: more than %d bits", name, maxRSA)
			}
			numbers[i] = new(big.Int).SetBytes(v)
		}
		if e := numbers[1]; !e.IsInt64() || e.Int64() > 1<<31-1 {
			return nil, errors.New("PublicExponent: too large")
		}
		private.N, private.E, private.D, private.Primes = numbers[0], int(numbers[1].Int64()), numbers[2], numbers[3:]
		if err := private.Validate(); err != nil {
			return nil, err
		}
		private.Precompute()
		return private, nil
	}
	return nil, fmt.Errorf("algorithm %d: mxtrap signs with 8, 10, 13, 14 and 15", algorithm)
}

// maxRSA is the largest RSA key in bits (RFC 3110 2).
const maxRSA = 4096

// Public is the text of the key's .key file.
func (k *Key) Public() []byte {
	what := "zone-signing key"
	if k.IsEntry() {
		what = "key-signing key"
	}
	text := fmt.Appendf(nil, "; This is a %s, keyid %d, for %s\n", what, k.Tag, k.Zone)
	for _, t := range k.Times.each() {
		if *t.at != 0 {
			text = fmt.Appendf(text, "; %s: %s\n", t.name, formatTime(*t.at))
		}
	}
	return fmt.Appendf(text, "%s IN DNSKEY %d 3 %d %s\n", k.Zone, k.Flags, k.Algorithm, base64.StdEncoding.EncodeToString(k.public))
}

// Private is the text of the key's .private file.
func (k *Key) Private() ([]byte, error) {
	text := fmt.Appendf(nil, "Private-key-format: v1.3\nAlgorithm: %d (%s)\n", k.Algorithm, dns.AlgorithmToString[k.Algorithm])
	field := func(name string, value []byte) {
		text = fmt.Appendf(text, "%s: %s\n", name, base64.StdEncoding.EncodeToString(value))
	}
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		octets, err := p.Bytes()
		if err != nil {
			return nil, err
		}
		field("PrivateKey", octets)
	case ed25519.PrivateKey:
		field("PrivateKey", p.Seed())
	case *rsa.PrivateKey:
		for _, n := range []struct {
			name  string
			value *big.Int
		}{
			{"Modulus", p.N}, {"PublicExponent", big.NewInt(int64(p.E))}, {"PrivateExponent", p.D}, {"Prime1", p.Primes[0]}, {"Prime2", p.Primes[1]},
			{"Exponent1", p.Precomputed.Dp}, {"Exponent2", p.Precomputed.Dq}, {"Coefficient", p.Precomputed.Qinv},
		} {
			field(n.name, n.value.Bytes())
		}
	default:
		return nil, fmt.Errorf("%s: the private key is missing", k)
	}
	for _, t := range k.Times.each() {
		if *t.at != 0 {
			text = fmt.Appendf(text, "%s: %s\n", t.name, formatTime(*t.at))
		}
	}
	return text, nil
}
