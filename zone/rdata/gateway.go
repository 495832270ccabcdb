package rdata

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mxtrap/zone/dname"
)

// gatewaySize is how long a gateway or relay of a kind is; of kinds that nobody knows all that is left.
func gatewaySize(kind byte, data []byte) (n int, err error) {
	switch kind {
	case 0:
	case 1:
		n = 4
	case 2:
		n = 16
	case 3:
		return dname.Size(data)
	default:
		n = len(data)
	}
	if len(data) < n {
		return 0, errCut
	}
	return n, nil
}

func readGateway(kind byte, w *words, to []byte) ([]byte, error) {
	f, ok := map[byte]field{1: ipv4, 2: ipv6, 3: host}[kind]
	switch {
	case ok:
		return f.read(w, to)
	case kind != 0:
		return to, fmt.Errorf("a gateway of the kind %d cannot be written as text", kind)
	}
	t, err := w.next()
	if err == nil && t.Text != "." {
		err = fmt.Errorf(`%q where no gateway is: write "."`, t.Text)
	}
	return to, err
}

func writeGateway(kind byte, to, data []byte) []byte {
	switch kind {
	case 0:
		return append(to, '.')
	case 3:
		return host.write(to, data)
	}
	return ipv4.write(to, data)
}

// gateway is the kind, the algorithm and the gateway of IPSECKEY (RFC 4025 2.1).
var gateway = field{func(data []byte) (int, error) {
	if len(data) < 2 {
		return 0, errCut
	}
	if data[0] > 3 {
		return 0, errors.New("the gateway type is unknown")
	}
	n, err := gatewaySize(data[0], data[2:])
	return 2 + n, err
}, func(w *words, to []byte) ([]byte, error) {
	at := len(to)
	to, err := u8.read(w, to)
	if err == nil {
		to, err = algorithm.read(w, to)
	}
	if err != nil {
		return to, err
	}
	return readGateway(to[at], w, to)
}, func(to, data []byte) []byte {
	to = append(appendNumber(append(appendNumber(to, data[:1]), ' '), data[1:2]), ' ')
	return writeGateway(data[0], to, data[2:])
}}

// relay is the discovery bit, the kind and the relay of AMTRELAY (RFC 8777 4.2).
var relay = field{func(data []byte) (int, error) {
	if len(data) < 1 {
		return 0, errCut
	}
	n, err := gatewaySize(data[0]&0x7f, data[1:])
	return 1 + n, err
}, func(w *words, to []byte) ([]byte, error) {
	discovery, err := u8.read(w, nil)
	if err == nil && discovery[0] > 1 {
		err = errors.New("the discovery bit is 0 or 1")
	}
	if err != nil {
		return to, err
	}
	kind, err := u8.read(w, nil)
	if err == nil && kind[0] > 0x7f {
		err = errors.New("a relay's kind is below 128")
	}
	if err != nil {
		return to, err
	}
	return readGateway(kind[0], w, append(to, discovery[0]<<7|kind[0]))
}, func(to, data []byte) []byte {
	to = fmt.Appendf(to, "%d %d ", data[0]>>7, data[0]&0x7f)
	return writeGateway(data[0]&0x7f, to, data[1:])
}}

// identity is the algorithm, tag and key of HIP (RFC 8005 5).
var identity = field{func(data []byte) (int, error) {
	if len(data) < 4 {
		return 0, errCut
	}
	tag, key := int(data[0]), int(binary.BigEndian.Uint16(data[2:]))
	if tag == 0 || key == 0 || len(data) < 4+tag+key {
		return 0, errCut
	}
	return 4 + tag + key, nil
}, func(w *words, to []byte) ([]byte, error) {
	at := len(to)
	to, err := algorithm.read(w, append(to, 0))
	if err != nil {
		return to, err
	}
	one := words{list: w.list[:min(1, len(w.list))]}
	tag, err := hexs.read(&one, nil)
	if err != nil || len(tag) > maxString {
		return to, errors.Join(err, errMissing)
	}
	w.list = w.list[1:]
	one.list = w.list[:min(1, len(w.list))]
	key, err := base64s.read(&one, nil)
	if err != nil {
		return to, err
	}
	w.list = w.list[1:]
	to[at] = byte(len(tag))
	return append(append(binary.BigEndian.AppendUint16(to, uint16(len(key))), tag...), key...), nil
}, func(to, data []byte) []byte {
	tag := 4 + int(data[0])
	to = appendHex(fmt.Appendf(to, "%d ", data[1]), data[4:tag])
	return appendBase64(append(to, ' '), data[tag:])
}}
