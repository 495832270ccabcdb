package fake

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/rr"
)

// Record reads a record.
func Record(line string) dns.RR {
	rr, err := dns.NewRR(line)
	if err != nil {
		panic(err)
	}
	return rr
}

// Wired are lines as records in wire format.
func Wired(lines ...string) (records []rr.Record) {
	for _, line := range lines {
		packet := make([]byte, 70000)
		end, err := dns.PackRR(Record(line), packet, 0, nil, false)
		if err != nil {
			panic(err)
		}
		r, _, _, err := rr.Unpack(packet[:end], 0)
		if err != nil {
			panic(err)
		}
		records = append(records, r)
	}
	return records
}

// SOALine is the SOA record of example.com.
func SOALine(serial uint32) string {
	return fmt.Sprintf("example.com. 3600 IN SOA ns1.example.com. root.example.com. %d 1 1 600 300", serial)
}

// ZoneLines are a zone as a primary Sends it.
func ZoneLines(serial uint32, text string) []string {
	return []string{
		SOALine(serial), "example.com. 3600 IN NS ns1.example.com.", "example.com. 3600 IN MX 10 mail.example.com.", "example.com. 3600 IN MX 20 mx1.example.com.",
		"ns1.example.com. 3600 IN A 192.0.2.53", "mail.example.com. 3600 IN A 192.0.2.25", "mx1.example.com. 3600 IN A 192.0.2.26",
		"example.com. 3600 IN TXT " + text, SOALine(serial),
	}
}

// TimedLines are ZoneLines whose SOA record has other times: refresh, retry, expire.
func TimedLines(serial uint32, text, times string) []string {
	lines := ZoneLines(serial, text)
	for i := range lines {
		lines[i] = strings.Replace(lines[i], " 1 1 600 300", " "+times+" 300", 1)
	}
	return lines
}

// Bomb is a message of very many records, each of them a pointer to one long name, and where the record with that name begins.
func Bomb(m *dns.Msg, apex string) (packet []byte, at int) {
	long := strings.Repeat("\x3f"+strings.Repeat("\x01", 63), 3) + apex
	packet, _ = new(dns.Msg).SetReply(m).Pack()
	at, count := len(packet), 1
	packet = rr.Record{Owner: long, Type: dns.TypeNS, TTL: 60, Data: []byte(long)}.AppendWire(packet)
	for ; len(packet) < 65000; count++ {
		packet = append(packet, 0xc0|byte(at>>8), byte(at), 0, byte(dns.TypeNS), 0, 1, 0, 0, 0, 60, 0, 2, 0xc0|byte(at>>8), byte(at))
	}
	packet[6], packet[7] = byte(count>>8), byte(count)
	return packet, at
}

// Packed is an answer with records as they are, and then some more.
func Packed(request *dns.Msg, records []rr.Record) []byte {
	packet, _ := new(dns.Msg).SetReply(request).Pack()
	for _, r := range records {
		packet = r.AppendWire(packet)
	}
	packet[6], packet[7] = byte(len(records)>>8), byte(len(records))
	return packet
}

// Secret is the secret of a TSIG key.
const Secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="

// ReadZone reads the answer to a request for the zone example.com, record by record, without the DNS library.
func ReadZone(conn io.Reader) (records []rr.Record, err error) {
	const question = 12 + len("\x07example\x03com\x00") + 4
	for ends := 0; ends < 2; {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return nil, err
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return nil, err
		}
		at := question
		for range binary.BigEndian.Uint16(packet[6:]) {
			r, _, next, err := rr.Unpack(packet, at)
			if err != nil {
				return nil, err
			}
			if records, at = append(records, r), next; r.Type == dns.TypeSOA {
				ends++
			}
		}
	}
	return records, nil
}
