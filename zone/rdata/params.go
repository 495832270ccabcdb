package rdata

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Keys of service parameters (RFC 9460 14.3.2).
const (
	keyMandatory = iota
	keyALPN
	keyNoDefaultALPN
	keyPort
	keyIPv4Hint
	keyECH
	keyIPv6Hint
	keyDoHPath
	keyOHTTP
)

// params are service parameters (RFC 9460 2.2).
var params = field{func(data []byte) (int, error) {
	present := map[uint16]bool{}
	var mandatory []byte
	at, last := 0, -1
	for ; at < len(data); present[uint16(last)] = true {
		if len(data) < at+4 || len(data) < at+4+int(binary.BigEndian.Uint16(data[at+2:])) {
			return 0, errCut
		}
		key, value := binary.BigEndian.Uint16(data[at:]), data[at+4:][:binary.BigEndian.Uint16(data[at+2:])]
		if int(key) <= last {
			return 0, errors.New("the keys are not in order")
		}
		if !fitsParameter(key, value) {
			return 0, fmt.Errorf("the value of key%d does not follow RFC 9460 7", key)
		}
		if key == keyMandatory {
			mandatory = value
		}
		at, last = at+4+len(value), int(key)
	}
	for i := 0; i < len(mandatory); i += 2 {
		if key := binary.BigEndian.Uint16(mandatory[i:]); !present[key] {
			return 0, fmt.Errorf("key%d is mandatory, and missing", key)
		}
	}
	return at, nil
}, readParams, writeParams}

func fitsParameter(key uint16, value []byte) bool {
	switch key {
	case keyMandatory:
		last := 0
		for i := 0; i+1 < len(value); i += 2 {
			next := int(binary.BigEndian.Uint16(value[i:]))
			if next <= last {
				return false
			}
			last = next
		}
		return len(value) > 0 && len(value)%2 == 0
	case keyALPN:
		for rest := value; len(rest) > 0; {
			n, err := stringSize(rest)
			if err != nil || n == 1 {
				return false
			}
			rest = rest[n:]
		}
		return len(value) > 0
	case keyNoDefaultALPN:
		return len(value) == 0
	case keyPort:
		return len(value) == 2
	case keyIPv4Hint:
		return len(value) > 0 && len(value)%4 == 0
	case keyIPv6Hint:
		return len(value) > 0 && len(value)%16 == 0
	}
	return true
}

// keyNames are those of the keys that have one.
var keyNames = []string{"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"}

// keyOf is the number of a key.
func keyOf(name string) (uint16, error) {
	name = strings.ToLower(name)
	if i := slices.Index(keyNames, name); i >= 0 {
		return uint16(i), nil
	}
	digits, ok := strings.CutPrefix(name, "key")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || digits != strconv.FormatUint(n, 10) {
		return 0, fmt.Errorf("%q is not a service parameter key", name)
	}
	return uint16(n), nil
}

// param is a key with its value, as octets.
type param struct {
	key   uint16
	value []byte
}

// readParams reads parameters in any order (RFC 9460 2.1); on the wire they stand in that of their keys.
func readParams(w *words, to []byte) ([]byte, error) {
	var all []param
	for len(w.list) > 0 {
		name, text, _ := strings.Cut(w.take(), "=")
		for len(w.list) > 0 && w.list[0].Glued { // a value in quotes
			text += w.take()
		}
		key, err := keyOf(name)
		if err != nil {
			return to, err
		}
		value, err := readOctets(&words{list: []Word{{Text: text}}}, nil)
		if err == nil && !strings.HasPrefix(strings.ToLower(name), "key") {
			value, err = paramValue(key, value)
		}
		if err != nil {
			return to, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, param{key, value})
	}
	slices.SortFunc(all, func(a, b param) int { return cmp.Compare(a.key, b.key) })
	for i, p := range all {
		if i > 0 && p.key == all[i-1].key {
			return to, fmt.Errorf("key%d stands there twice", p.key)
		}
		to = binary.BigEndian.AppendUint16(to, p.key)
		to = append(binary.BigEndian.AppendUint16(to, uint16(len(p.value))), p.value...)
	}
	return to, nil
}

// paramValue is the wire of a key's value out of its text (RFC 9460 7).
func paramValue(key uint16, text []byte) (value []byte, err error) {
	switch key {
	case keyMandatory:
		var keys []uint16
		for _, name := range strings.Split(string(text), ",") {
			k, err := keyOf(name)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			value = binary.BigEndian.AppendUint16(value, k)
		}
	case keyALPN:
		for _, id := range splitList(text) {
			if len(id) == 0 || len(id) > maxString {
				return nil, errors.New("a protocol has a name of 1 to 255 octets")
			}
			value = append(append(value, byte(len(id))), id...)
		}
	case keyPort:
		return u16.read(&words{list: []Word{{Text: string(text)}}}, nil)
	case keyIPv4Hint, keyIPv6Hint:
		for _, item := range strings.Split(string(text), ",") {
			a, err := netip.ParseAddr(item)
			if err != nil || a.Zone() != "" || a.Is4() != (key == keyIPv4Hint) {
				return nil, fmt.Errorf("%q is not an address of the right family", item)
			}
			value = append(value, a.AsSlice()...)
		}
	case keyECH:
		return base64.StdEncoding.AppendDecode(nil, text)
	default:
		value = text
	}
	return value, nil
}

// splitList cuts a list at its commas; a backslash keeps what it stands before (RFC 9460 A.1).
func splitList(text []byte) (items [][]byte) {
	var item []byte
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			item = append(item, text[i])
		case text[i] == ',':
			items, item = append(items, item), nil
		default:
			item = append(item, text[i])
		}
	}
	return append(items, item)
}

// writeParams writes those keys by name that BIND 9.18 and NSD 4.6 know, and others by number.
func writeParams(to, data []byte) []byte {
	for first := true; len(data) > 0; first = false {
		key, value := binary.BigEndian.Uint16(data), data[4:][:binary.BigEndian.Uint16(data[2:])]
		data = data[4+len(value):]
		if !first {
			to = append(to, ' ')
		}
		if key > keyIPv6Hint {
			to = fmt.Appendf(to, "key%d", key)
			if len(value) > 0 {
				to = appendQuoted(append(to, '='), value)
			}
			continue
		}
		to = append(to, keyNames[key]...)
		if len(value) == 0 {
			continue
		}
		to = append(to, '=')
		var items []string
		switch key {
		case keyMandatory:
			for ; len(value) > 0; value = value[2:] {
				if k := binary.BigEndian.Uint16(value); k <= keyIPv6Hint {
					items = append(items, keyNames[k])
				} else {
					items = append(items, fmt.Sprintf("key%d", k))
				}
			}
			to = append(to, strings.Join(items, ",")...)
		case keyALPN:
			var list []byte
			for ; len(value) > 0; value = value[1+value[0]:] {
				if len(list) > 0 {
					list = append(list, ',')
				}
				id := bytes.ReplaceAll(value[1:1+value[0]], []byte(`\`), []byte(`\\`))
				list = append(list, bytes.ReplaceAll(id, []byte(","), []byte(`\,`))...)
			}
			to = appendQuoted(to, list)
		case keyPort:
			to = appendNumber(to, value)
		case keyIPv4Hint, keyIPv6Hint:
			size := map[uint16]int{keyIPv4Hint: 4, keyIPv6Hint: 16}[key]
			for ; len(value) > 0; value = value[size:] {
				a, _ := netip.AddrFromSlice(value[:size])
				items = append(items, a.String())
			}
			to = append(to, strings.Join(items, ",")...)
		case keyECH:
			to = appendBase64(to, value)
		}
	}
	return to
}
