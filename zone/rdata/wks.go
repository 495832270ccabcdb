package rdata

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// services are the protocol and the ports of WKS (RFC 1035 3.4.2).
var services = field{func(data []byte) (int, error) {
	switch {
	case len(data) < 1:
		return 0, errCut
	case len(data) > 1+65536/8:
		return 0, errors.New("the bitmap of ports is longer than there are ports")
	}
	return len(data), nil
}, func(w *words, to []byte) ([]byte, error) {
	protocol, err := w.next()
	if err != nil {
		return to, err
	}
	network := strings.ToLower(protocol.Text)
	n, err := strconv.ParseUint(protocol.Text, 10, 8)
	switch {
	case network == "tcp" || n == 6:
		network, n = "tcp", 6
	case network == "udp" || n == 17:
		network, n = "udp", 17
	case err != nil:
		return to, fmt.Errorf("%q is not a protocol: write TCP, UDP or a number", protocol.Text)
	}
	var bits []byte
	for len(w.list) > 0 {
		text := w.take()
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			known, err := net.LookupPort(network, strings.ToLower(text))
			if err != nil {
				return to, fmt.Errorf("%q is not a port of %s", text, network)
			}
			port = uint64(known)
		}
		for len(bits) <= int(port/8) {
			bits = append(bits, 0)
		}
		bits[port/8] |= 0x80 >> (port % 8)
	}
	return append(append(to, byte(n)), bits...), nil
}, func(to, data []byte) []byte {
	to = strconv.AppendUint(to, uint64(data[0]), 10)
	for i, c := range data[1:] {
		for bit := range 8 {
			if c&(0x80>>bit) != 0 {
				to = strconv.AppendInt(append(to, ' '), int64(8*i+bit), 10)
			}
		}
	}
	return to
}}
