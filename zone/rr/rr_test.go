package rr

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
)

var update = flag.Bool("update", false, "write testdata/types.zone anew")

// TestTheMasterFileOfAllTypes keeps testdata/types.zone, which other tests give to other name servers, to the samples.
func TestTheMasterFileOfAllTypes(t *testing.T) {
	const file = "testdata/types.zone"
	var want []string
	text := "; a record of each type, in the spellings of samples_test.go\n$ORIGIN example.com.\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 1800 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n"
	for i, c := range samples {
		if c.name == "SOA" || c.name == "MD" || c.name == "MF" || c.name == "DNAME" { // stand at the apex alone, are refused by BIND, or take what is below
			continue
		}
		owner := fmt.Sprintf("r%03d", i)
		if c.name == "NSEC3" {
			owner = fmt.Sprintf("%032d", i) // a hash
		}
		text += owner + "\t" + c.name + "\t" + c.text + "\n"
		data, _ := rdata.Parse(c.typ(), c.text, exampleCom)
		want = append(want, Record{Owner: string(rune(len(owner))) + owner + exampleCom, Type: c.typ(), TTL: 3600, Data: data}.String())
	}
	if *update {
		os.WriteFile(file, []byte(text), 0o644)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	r := Reader{
		Apex: exampleCom, Record: func(r Record, _ Place) { got = append(got, r.String()) },
		Fault: func(p Place, text, reason string) bool { t.Error(p, text, reason); return false },
	}
	r.Read(file, string(written))
	if strings.Join(got[3:], "\n") != strings.Join(want, "\n") {
		t.Errorf("the file is not what the samples are: go test ./zone/rr -update")
	}
}

func TestEveryTypeIsReadPrintedAndReadBack(t *testing.T) {
	seen := map[uint16]bool{}
	for _, c := range samples {
		data, err := rdata.Parse(c.typ(), c.text, exampleCom)
		if err != nil {
			t.Errorf("%s %s: %v", c.name, c.text, err)
			continue
		}
		seen[c.typ()] = true
		text := string(rdata.Append(nil, c.typ(), data))
		if again, err := rdata.Parse(c.typ(), text, "\x00"); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s %s is printed as %s and read back as %x, want %x: %v", c.name, c.text, text, again, data, err)
		}
	}
	for typ := range uint16(0xffff) {
		if l := rdata.Of(typ); l != nil && !seen[typ] {
			t.Errorf("no sample of %s", rdata.TypeText(typ))
		}
	}
}

// TestDataThatIsCutOrGoesOnIsRefused cuts every sample at every octet: what is left is refused, or is data of its own that can be read.
func TestDataThatIsCutOrGoesOnIsRefused(t *testing.T) {
	for _, c := range samples {
		data, err := rdata.Parse(c.typ(), c.text, exampleCom)
		if err != nil || rdata.Of(c.typ()) == nil {
			continue
		}
		for n := range data {
			holdsTogether(t, c.typ(), data[:n])
		}
		holdsTogether(t, c.typ(), append(data, 0))
	}
	for _, c := range []struct {
		name, data, want string
	}{
		{"MX", "000a", "MX: exchange: a name is cut short"}, {"MX", "000ac00c", "compressed"}, {"SRV", "0001", "SRV: weight: cut short"}, {"A", "c000020101", "more octets than its fields have"},
		{"A", "c00002", "A: address: cut short"}, {"AAAA", "20", "cut short"}, {"TLSA", "0301", "cut short"}, {"TLSA", "030101", "certificate: missing"}, {"LOC", "00", "cut short"}, {"DS", "00010d02ab", "the digest has 1 octets"},
		{"TXT", "", "text: missing"}, {"TXT", "0561", "a text is cut short"}, {"CNAME", "0161", "cut short"}, {"NSEC", "0000", "bitmap"}, {"NSEC", "00000240", "cut short"}, {"NSEC3", "010000000000", "next: missing"},
		{"SVCB", "0001000003000200", "cut short"}, {"SVCB", "00010000030001500001000102", "does not follow RFC 9460 7"}, {"SVCB", "0001000003000201bb0001000302683", ""}, {"CAA", "0000", "letters and digits"}, {"APL", "0001180400000000", "RFC 3123"},
		{"IPSECKEY", "0a0402", "gateway type is unknown"}, {"HIP", "0002000100", "cut short"}, {"X25", "0131", "four digits"}, {"SOA", "00", "cut short"},
	} {
		octets, err := hex.DecodeString(c.data)
		if err != nil {
			continue // an odd number of digits: nothing to try
		}
		typ, _ := rdata.TypeOf(c.name)
		if err := rdata.Check(typ, octets); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.name, c.data, err, c.want)
		}
	}
	for _, typ := range []uint16{0, dns.TypeOPT, dns.TypeANY, dns.TypeTSIG, dns.TypeNXNAME} {
		if rdata.Check(typ, nil) == nil {
			t.Errorf("TYPE%d is taken", typ)
		}
	}
}

// holdsTogether: data that is accepted has a text that is read back as the same, and a wire that is read back as the same, by us and by the DNS library.
func holdsTogether(t *testing.T, typ uint16, data []byte) {
	t.Helper()
	if rdata.Check(typ, data) != nil {
		return
	}
	r := Record{Owner: exampleCom, Type: typ, TTL: 60, Data: data}
	text := string(rdata.Append(nil, typ, data))
	if again, err := rdata.Parse(typ, text, "\x00"); err != nil || !bytes.Equal(again, data) {
		t.Fatalf("TYPE%d %x is printed as %s and read back as %x: %v", typ, data, text, again, err)
	}
	wire := r.AppendWire(nil)
	again, class, next, err := Unpack(wire, 0)
	if err != nil || class != dns.ClassINET || next != len(wire) || again.String() != r.String() || !bytes.Equal(again.Data, data) {
		t.Fatalf("TYPE%d %x is read back as %v: %v", typ, data, again, err)
	}
	packet := append([]byte{0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}, exampleCom+"\x00\x01\x00\x01"...)
	p := NewPacker(packet, exampleCom)
	p.Add(r)
	unpacked, _, _, err := Unpack(p.Packet, len(packet))
	if err != nil || !bytes.Equal(unpacked.Data, data) && unpacked.Identity() != r.Identity() {
		t.Fatalf("TYPE%d %x is packed as %x and read back as %x: %v", typ, data, p.Packet[len(packet):], unpacked.Data, err)
	}
	libraryReads(t, p.Packet, r)
}

// libraryReads holds what is packed to what the DNS library makes of it, but for the types that it reads otherwise than their RFCs say.
func libraryReads(t *testing.T, packet []byte, r Record) {
	switch r.Type {
	case dns.TypeNXT, dns.TypeAPL, dns.TypeISDN, dns.TypeIPSECKEY, dns.TypeAMTRELAY, dns.TypeSVCB, dns.TypeHTTPS, dns.TypeNULL, dns.TypeCAA, dns.TypeURI, dns.TypeHIP, 11:
		return
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("the library does not read TYPE%d %x: %v", r.Type, r.Data, err)
	}
	again := make([]byte, 70000)
	n, err := dns.PackRR(m.Answer[0], again, 0, nil, false)
	if err != nil {
		return // it reads what it cannot write, such as an empty text
	}
	if back, _, _, err := Unpack(again[:n], 0); err != nil || back.Identity() != r.Identity() {
		t.Fatalf("the library reads TYPE%d %x as %x: %v", r.Type, r.Data, back.Data, err)
	}
}

// FuzzData tries any octets as data of any type.
func FuzzData(f *testing.F) {
	for _, c := range samples {
		if data, err := rdata.Parse(c.typ(), c.text, exampleCom); err == nil {
			f.Add(c.typ(), data)
		}
	}
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) { holdsTogether(t, typ, data) })
}

// FuzzText tries any text as a master file: whatever is taken holds together.
func FuzzText(f *testing.F) {
	for _, c := range samples {
		f.Add("x 60 " + c.name + " " + c.text + "\n")
	}
	for _, c := range masterCases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToUpper(text), "$GENERATE") && len(text) > 200 {
			return // many steps take their time, by design
		}
		records := 0
		r := Reader{
			Apex: exampleCom, TTL: 3600, Open: func(string) (string, error) { return "  A 192.0.2.1\n", nil },
			Record: func(r Record, _ Place) {
				if records++; records < 1000 {
					holdsTogether(t, r.Type, r.Data)
				}
			},
			Fault: func(Place, string, string) bool { return false },
		}
		r.Read("f", text)
	})
}

// FuzzUnpack reads records out of any packet.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x00\x00\x0f\x00\x01\x00\x00\x00\x00\x00\x04\x00\x0a\xc0\x00"), 0)
	f.Fuzz(func(t *testing.T, packet []byte, at int) {
		if at < 0 || at > len(packet) {
			return
		}
		r, _, next, err := Unpack(packet, at)
		if err != nil {
			return
		}
		if next <= at || next > len(packet) || len(r.Owner) > dname.MaxName {
			t.Fatalf("record at %d ends at %d of %d", at, next, len(packet))
		}
		holdsTogether(t, r.Type, r.Data)
	})
}

// masterCases are master files and what they come to: records, or what is wrong.
var masterCases = []struct{ name, text, want string }{
	{"the owner, the TTL and the origin go on", "$TTL 1h\na 60 A 192.0.2.1\n  A 192.0.2.2\n$ORIGIN sub\nb IN 5m A 192.0.2.3\nc 5m IN A 192.0.2.4\n@ A 192.0.2.5\n",
		"a.example.com. 60 A 192.0.2.1|a.example.com. 3600 A 192.0.2.2|b.sub.example.com. 300 A 192.0.2.3|c.sub.example.com. 300 A 192.0.2.4|sub.example.com. 3600 A 192.0.2.5"},
	{"without $TTL the last one stated holds (RFC 1035 5.1)", "a A 192.0.2.1\na 60 A 192.0.2.2\na A 192.0.2.3\n", "a.example.com. 7200 A 192.0.2.1|a.example.com. 60 A 192.0.2.2|a.example.com. 60 A 192.0.2.3"},
	{"$TTL holds for what $GENERATE makes", "$TTL 60\n$GENERATE 1-2 h$ A 192.0.2.$\n", "h1.example.com. 60 A 192.0.2.1|h2.example.com. 60 A 192.0.2.2"},
	{"$GENERATE with steps, offsets, widths, bases and nibbles", "$TTL 1\n$GENERATE 10-12/2 ${0,3,n}.x MX \"${-10} m${0,3,d}-${0,2,x}-$$\"\n",
		`a.0.x.example.com. 1 MX 0 m010-0a-\$.example.com.|c.0.x.example.com. 1 MX 2 m012-0c-\$.example.com.`},
	{"$GENERATE keeps an escaped sign", "$TTL 1\n$GENERATE 1-1 a\\$ TXT \"\\$ $\"\n", `a\$.example.com. 1 TXT "$" "1"`},
	{"$GENERATE with quotes in quotes, as BIND has texts with blanks", "$TTL 1\n$GENERATE 1-2 h$ TXT \"\\\"a $\\\" b\"\n", `h1.example.com. 1 TXT "a 1" "b"|h2.example.com. 1 TXT "a 2" "b"`},
	{"behind $GENERATE the owner before it goes on", "$TTL 1\na A 192.0.2.1\n$GENERATE 1-1 h$ A 192.0.2.2\n  A 192.0.2.3\n", "a.example.com. 1 A 192.0.2.1|h1.example.com. 1 A 192.0.2.2|a.example.com. 1 A 192.0.2.3"},
	{"a byte order mark and lines that end as in DOS", "\ufeff$TTL 1\r\na A 192.0.2.1\r\n", "a.example.com. 1 A 192.0.2.1"},
	{"an included file that begins with a blank goes on with the last owner", "$TTL 1\nb A 192.0.2.5\n$INCLUDE one\n  A 192.0.2.6\n", "b.example.com. 1 A 192.0.2.5|b.example.com. 1 A 192.0.2.1|b.example.com. 1 A 192.0.2.6"},
	{"an included file has an origin and owner of its own", "$TTL 1\nb A 192.0.2.5\n$INCLUDE two sub\n  A 192.0.2.6\nc A 192.0.2.7\n",
		"b.example.com. 1 A 192.0.2.5|x.sub.example.com. 1 A 192.0.2.2|b.example.com. 1 A 192.0.2.6|c.example.com. 1 A 192.0.2.7"},
	{"parentheses, comments and quotes", "$TTL 1\na TXT ( one ; \"no text\n \"two;(\"\n ) ; the end\nb A 192.0.2.1\n", `a.example.com. 1 TXT "one" "two;("|b.example.com. 1 A 192.0.2.1`},
	{"escapes in names", "$TTL 1\n\\097\\.b.\\$x A 192.0.2.1\n", `a\.b.\$x.example.com. 1 A 192.0.2.1`},
	{"an escaped newline in a text", "$TTL 1\na TXT \"one\\\ntwo\"\nb A x\n", `a.example.com. 1 TXT "one\010two"|f:4 address: "x" is not`},
	{"a quote that is missing", "$TTL 1\na TXT \"one\nb A 192.0.2.1\n", "f:2 the closing quotation mark is missing|b.example.com. 1 A 192.0.2.1"},
	{"a parenthesis that is missing", "$TTL 1\na A 192.0.2.1\na TXT (\n \"one\"\nb A x\n", "a.example.com. 1 A 192.0.2.1|f:3 the parenthesis opened here is never closed"},
	{"a parenthesis too many", "$TTL 1\na A 192.0.2.1 )\n", "f:2 a closing parenthesis without an opening one"},
	{"a TTL that is none", "$TTL 1hour\na A 192.0.2.1\n", `f:1 1hour: $TTL: not a time|a.example.com. 7200 A 192.0.2.1`},
	{"a preference that is missing", "$TTL 1\na MX backup\n", `f:2 preference: "backup" is not a number from 0 to 65535: write MX PREFERENCE EXCHANGE`},
	{"an exchange that is missing", "$TTL 1\na MX 10\n", "f:2 exchange: missing: write MX PREFERENCE EXCHANGE"},
	{"words behind the last field", "$TTL 1\na A 192.0.2.1 192.0.2.2\n", `f:2 "192.0.2.2" follows the last field`},
	{"a record without an owner", "  A 192.0.2.1\n", "f:1 it begins with a blank, and there is no owner"},
	{"a directive that nobody knows", "$FOO 1\n", "f:1 $FOO: not a directive"},
	{"a class that is not served", "a CH A 192.0.2.1\n", "f:1 CH: only the class IN"},
	{"a type of questions", "a ANY x\n", "f:1 ANY is a type for questions"},
	{"a type without text", "a NULL x\n", `f:1 data of the type NULL cannot be written as text: write TYPE10 \# LENGTH HEXADECIMAL`},
	{"a length that is wrong", "a TYPE15 \\# 3 000a\n", `f:1 \# announces 3 octets, and 2 follow`},
	{"data that is cut", "a TYPE15 \\# 2 000a\n", "f:1 MX: exchange: a name is cut short"},
	{"a name in another script", "a CNAME münchen.example.\n", `f:1 target: "münchen.example." is not a domain name in the DNS: write xn--mnchen-3ya.example.`},
	{"a file outside the folder", "$INCLUDE /etc/hosts\n$INCLUDE ../x\n", "f:1 /etc/hosts: is outside the folder|f:2 ../x: is outside the folder"},
	{"a file that includes itself", "$INCLUDE circle\n", "more than 10 deep"},
	{"files without end", "$INCLUDE many\n", "many:1000 empty: a zone includes 1000 files at most|many:1001 empty"},
	{"records without end", strings.Repeat("$GENERATE 0-200000 h$ A 192.0.2.1\n", 2), "makes 262144 records of a zone at most"},
	{"a range that is none", "$GENERATE 3-1 h$ A 192.0.2.1\n", "f:1 3-1: not a range"},
}

func TestMasterFiles(t *testing.T) {
	included := map[string]string{"one": "  A 192.0.2.1\n", "two": "x A 192.0.2.2\n", "circle": "$INCLUDE circle\n", "many": strings.Repeat("$INCLUDE empty\n", 1001), "empty": ""}
	for _, c := range masterCases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			generated := 0
			r := Reader{
				Apex: exampleCom, TTL: 7200, Open: func(file string) (string, error) { return included[file], nil },
				Record: func(r Record, p Place) {
					if generated++; generated < 10 {
						got = append(got, strings.Replace(strings.ReplaceAll(r.String(), "\t", " "), " IN ", " ", 1))
					}
				},
				Fault: func(p Place, text, reason string) bool {
					line := fmt.Sprintf("%s:%d ", p.File, p.Line)
					if text != "" {
						line += text + ": "
					}
					got = append(got, line+reason)
					return false
				},
			}
			r.Read("f", c.text)
			all := strings.Join(got, "|")
			for want := range strings.SplitSeq(c.want, "|") {
				if !strings.Contains(all, want) {
					t.Errorf("got %s\nwant %s", all, want)
				}
			}
			if n := strings.Count(c.want, "|") + 1; len(got) != n && c.name != "records without end" {
				t.Errorf("got %d lines, want %d: %s", len(got), n, all)
			}
		})
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ text, want string }{
		{"a", "a.example.com."}, {"a.", "a."}, {"@", "example.com."}, {".", "."}, {`\046`, `\..example.com.`}, {`a\.b`, `a\.b.example.com.`}, {`\000`, `\000.example.com.`},
		{"", "not a domain name"}, {"..", "two dots"}, {".a", "two dots"}, {long + "a", "longer than 63"}, {strings.Repeat(long+".", 4), "longer than 255"}, {strings.Repeat(long+".", 3) + long[:57], "longer than 255"},
		{`a\`, "backslash"}, {`\25`, "three digits"}, {`\256`, "above 255"}, {"a b", "a blank"}, {"ä", "write xn--4ca"},
	} {
		wire, err := dname.Append(nil, c.text, exampleCom)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = string(dname.AppendText(nil, wire))
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestUnpackEndsWhateverPointersSay(t *testing.T) {
	for _, c := range []struct {
		name, packet string
		ok           bool
	}{
		{"a pointer to itself", "\xc0\x00", false}, {"a pointer forwards", "\xc0\x05\x00\x00\x00\x00", false}, {"a label of another kind", "\x40a\x00", false}, {"a cut pointer", "\xc0", false},
		{"no data", "\x00\x00\x01\x00\x01\x00\x00", false}, {"data that is cut", "\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x01", false},
		{"a TTL beyond the largest", "\x00\x00\x01\x00\x01\x80\x00\x00\x00\x00\x04\x01\x02\x03\x04", true},
	} {
		r, _, _, err := Unpack([]byte(c.packet), 0)
		if (err == nil) != c.ok || r.TTL > maxTTL {
			t.Errorf("%s: %v, %v", c.name, r, err)
		}
	}
}

func TestAReaderEndsWithTheMostRecords(t *testing.T) {
	for most, want := range map[int]string{0: "3 []", 3: "3 []", 2: "2 [a zone has 2 records at most]"} {
		records, faults := 0, []string{}
		r := Reader{
			Apex: "\x04test\x00", Most: most, Record: func(Record, Place) { records++ },
			Fault: func(_ Place, _, reason string) bool { faults = append(faults, reason); return false },
		}
		r.Read("x", "$GENERATE 1-2 g$ 60 A 192.0.2.1\nb 60 A 192.0.2.2\n")
		if got := fmt.Sprint(records, " ", faults); got != want {
			t.Errorf("%d: got %s, want %s", most, got, want)
		}
	}
}
