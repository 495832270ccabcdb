package sign

import (
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

// ParseKey reads a key's two files; the error begins with the ending of the one that is at fault. [Key.Check] says whether they are of one
// key, where that takes long to find out. Secret is what a key is derived from if its file says so; nil: there is none.
func ParseKey(public, private, secret []byte) (*Key, error) {
	k, err := parsePublic(public)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", PublicFile, err)
	}
	if err := k.addPrivate(private, secret); err != nil {
		return nil, fmt.Errorf("%s: %w", PrivateFile, err)
	}
	return k, nil
}

// addPrivate reads the private half of a key.
func (k *Key) addPrivate(text, secret []byte) error {
	p, err := parsePrivate(text)
	if err != nil {
		return err
	}
	if p.algorithm != k.Algorithm {
		return fmt.Errorf("the private key is one of algorithm %d, the public key of %d", p.algorithm, k.Algorithm)
	}
	k.private, k.Times, k.derived = p.half, p.times, p.derived
	if k.derived != 0 {
		if secret == nil {
			return errNoSecret
		}
		if k.private, err = deriveHalf(secret, k.Zone, k.Algorithm, k.derived.rollover()); err == nil && k.Check() != nil {
			err = errOtherSecret
		}
		return err
	}
	if _, isScalar := k.private.(scalar); !isScalar { // of others the public half is at hand
		return k.Check()
	}
	return nil
}

// What is wrong with the secret of a key that is derived.
var (
	errNoSecret    = errors.New("the key is derived from a secret, and dnssec.secret names none")
	errOtherSecret = errors.New("the key is derived from another secret than the one in dnssec.secret")
)

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
			if err := checkRSA(p.N); err != nil {
				return nil, err
			}
			return newKey(zone, flags, dns.RSASHA256, p)
		}
		return nil, fmt.Errorf("a key of a kind that DNSSEC does not have: %T", private)
	}
	p, err := parsePrivate(text)
	switch {
	case err != nil:
		return nil, err
	case p.derived != 0:
		return nil, errors.New("the file has no private key, but says that it is derived from a secret")
	}
	k, err := newKey(zone, flags, p.algorithm, p.half)
	if err == nil {
		k.Times = p.times
	}
	return k, err
}

// parsePublic reads a .key file: comments and one DNSKEY record.
func parsePublic(text []byte) (*Key, error) {
	var words []string
	for line := range strings.Lines(string(text)) {
		line = line[:commentAt(line)]
		for word := range strings.FieldsSeq(line) {
			if word = strings.Trim(word, "()"); word != "" {
				words = append(words, word)
			}
		}
	}
	if len(words) == 0 {
		return nil, errors.New("the file has no DNSKEY record")
	}
	zone, err := dname.Parse(words[0], dname.Root)
	if err != nil {
		return nil, err
	}
	words = words[1:]
	for len(words) > 0 && (words[0] == "IN" || isNumber(words[0])) {
		words = words[1:]
	}
	if len(words) < 5 || words[0] != "DNSKEY" {
		return nil, errors.New("the file has no DNSKEY record")
	}
	numbers := [3]uint64{}
	for i := range numbers {
		if numbers[i], err = strconv.ParseUint(words[1+i], 10, 16); err != nil {
			return nil, fmt.Errorf("%q is no number of a DNSKEY record", words[1+i])
		}
	}
	public, err := base64.StdEncoding.DecodeString(strings.Join(words[4:], ""))
	switch {
	case err != nil || len(public) == 0:
		return nil, errors.New("the key is not what base64 makes of one")
	case numbers[0]&flagZone == 0:
		return nil, errors.New("the flags say that this is not the key of a zone (RFC 4034 2.1.1)")
	case numbers[0]&flagRevoked != 0:
		return nil, errors.New("the flags say that the key is revoked (RFC 5011 2.1)")
	case numbers[1] != 3 || numbers[2] > 255:
		return nil, errors.New("the protocol is not 3, or the algorithm is above 255 (RFC 4034 2.1)")
	}
	k := &Key{Zone: zone, Flags: uint16(numbers[0]), Algorithm: uint8(numbers[2]), public: public}
	k.complete()
	return k, nil
}

// commentAt is where the comment of a line begins: at a semicolon that no backslash stands before (RFC 1035 5.1).
func commentAt(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ';':
			return i
		}
	}
	return len(line)
}

func isNumber(word string) bool {
	_, err := strconv.ParseUint(word, 10, 32)
	return err == nil
}

// derivedField is what our .private files have in the place of a key that is derived: the number of rollovers before it.
const derivedField = "Derived"

// privateKey is what a .private file holds.
type privateKey struct {
	algorithm uint8
	half      any // as Key.private; nil: it is derived
	times     Times
	derived   derivation
}

// parsePrivate reads BIND's format, from version 1.2 on: a field in each line.
func parsePrivate(text []byte) (p privateKey, err error) {
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if f := fields["Private-key-format"]; !strings.HasPrefix(f, "v1.") {
		return p, errors.New(`this is no private key: its first line must be "Private-key-format: v1.3"`)
	}
	number, _, _ := strings.Cut(fields["Algorithm"], " ")
	n, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return p, fmt.Errorf("the algorithm %q is no number", number)
	}
	p.algorithm = uint8(n)
	for _, t := range p.times.each() {
		if text := fields[t.name]; text != "" {
			if *t.at, err = parseTime(text); err != nil {
				return p, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	if number, ok := fields[derivedField]; ok {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return p, fmt.Errorf("%s: %q is no number of rollovers", derivedField, number)
		}
		p.derived = derived(uint32(n))
		return p, nil
	}
	p.half, err = parseHalf(p.algorithm, fields)
	return p, err
}

// parseHalf makes the private key of its fields.
func parseHalf(algorithm uint8, fields map[string]string) (any, error) {
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
		return scalar(append(make([]byte, size-len(v), size), v...)), nil // some programs leave leading zeros out
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
		if err := checkRSA(numbers[0]); err != nil {
			return nil, err
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

// Bounds of an RSA key in bits (RFC 3110 2; the library signs with none that is shorter than 1024).
const (
	minRSA = 1024
	maxRSA = 4096
)

func checkRSA(modulus *big.Int) error {
	if bits := modulus.BitLen(); bits < minRSA || bits > maxRSA {
		return fmt.Errorf("an RSA key of %d bits: DNSSEC has some of %d to %d", bits, minRSA, maxRSA)
	}
	return nil
}

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
func (k *Key) Private() (text []byte, err error) {
	text = fmt.Appendf(text, "Private-key-format: v1.3\nAlgorithm: %d (%s)\n", k.Algorithm, dns.AlgorithmToString[k.Algorithm])
	if k.IsDerived() {
		text = fmt.Appendf(text, "%s: %d\n", derivedField, k.derived.rollover())
	} else if text, err = k.appendHalf(text); err != nil {
		return nil, err
	}
	for _, t := range k.Times.each() {
		if *t.at != 0 {
			text = fmt.Appendf(text, "%s: %s\n", t.name, formatTime(*t.at))
		}
	}
	return text, nil
}

// appendHalf appends the fields of the private key.
func (k *Key) appendHalf(text []byte) ([]byte, error) {
	field := func(name string, value []byte) {
		text = fmt.Appendf(text, "%s: %s\n", name, base64.StdEncoding.EncodeToString(value))
	}
	switch p := k.private.(type) {
	case scalar:
		field("PrivateKey", p)
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
	return text, nil
}
