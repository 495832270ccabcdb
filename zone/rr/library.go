package rr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// location is the data of LOC (RFC 1876 2).
var location = field{size: func(data []byte) (int, error) {
	switch {
	case len(data) < 16:
		return 0, errCut
	case data[0] != 0:
		return 0, fmt.Errorf("its version %d is one that nobody knows", data[0])
	}
	for _, c := range data[1:4] {
		if c>>4 > 9 || c&0xf > 9 {
			return 0, errors.New("a size is not as RFC 1876 2 says")
		}
	}
	const degree, equator = 3600 * 1000, 1 << 31
	for i, most := range []int64{90 * degree, 180 * degree} {
		if at := int64(binary.BigEndian.Uint32(data[4+4*i:])) - equator; at < -most || at > most {
			return 0, errors.New("a latitude or longitude is beyond the earth's")
		}
	}
	return 16, nil
}}

// readByLibrary reads the text of a type whose notation is long.
func readByLibrary(l *layout, w *words) ([]byte, error) {
	var b strings.Builder
	b.WriteString(". " + l.name)
	for _, word := range w.list {
		if !word.glued {
			b.WriteByte(' ')
		}
		if word.quoted {
			b.WriteString(`"` + word.text + `"`)
		} else {
			b.WriteString(word.text)
		}
	}
	w.list = nil
	parser := dns.NewZoneParser(strings.NewReader(b.String()+"\n"), string(AppendNameText(nil, []byte(w.origin))), "")
	parser.SetDefaultTTL(0)
	rr, ok := parser.Next()
	if !ok {
		return nil, fmt.Errorf("not the data of %s: %s", l.name, l.usage())
	}
	scratch := make([]byte, dns.MaxMsgSize)
	end, err := dns.PackRR(rr, scratch, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("not the data of %s: %s", l.name, l.usage())
	}
	return scratch[headSize:end], nil
}

// headSize is what stands before the data of a record of the root: name, type, class, TTL and length.
const headSize = 1 + 10

// writeByLibrary writes such a text.
func writeByLibrary(to []byte, typ uint16, data []byte) []byte {
	packet := append(binary.BigEndian.AppendUint16([]byte{0}, typ), 0, dns.ClassINET, 0, 0, 0, 0, byte(len(data)>>8), byte(len(data)))
	rr, _, err := dns.UnpackRR(append(packet, data...), 0)
	if err != nil {
		return appendGeneric(to, data)
	}
	return append(to, strings.TrimPrefix(rr.String(), rr.Header().String())...)
}
