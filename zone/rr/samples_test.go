package rr

import "mxtrap/zone/rdata"

// sample is a record's type and data as BIND, NSD or the RFC has them.
type sample struct{ name, text string }

func (s sample) typ() uint16 {
	t, ok := rdata.TypeOf(s.name)
	if !ok {
		panic(s.name)
	}
	return t
}

const (
	exampleCom = "\x07example\x03com\x00"
	sha256Hex  = "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB"
)

// samples has every type of the table, in several spellings where peers take several.
var samples = []sample{
	{"A", "192.0.2.1"}, {"NS", "ns9.example.net."}, {"MD", "mail"}, {"MF", "mail"}, {"CNAME", "Mail.Example.COM."}, {"MB", "mail"}, {"MG", "mail"}, {"MR", "mail"},
	{"PTR", "mail"}, {"HINFO", `"cpu" "os"`}, {"HINFO", `PC Linux`}, {"HINFO", `"" ""`}, {"MINFO", "mail mail2"}, {"MX", "10 mail"}, {"MX", `"10" mail`},
	{"TXT", `"text" "more"`}, {"TXT", `one two "three four"`}, {"TXT", `"a\"b\\c\000\255;("`}, {"TXT", `""`}, {"TXT", "( one\n\ttwo ; a comment\n\t\"three\" )"}, {"RP", "mail ."}, {"AFSDB", "1 afs"}, {"X25", "311061700956"},
	{"X25", `"311061700956"`}, {"ISDN", `"150862028003217" "004"`}, {"ISDN", "150862028003217"}, {"RT", "10 mail"}, {"NSAP", "0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00"}, {"NSAP-PTR", "foo"},
	{"SIG", "A 13 2 3600 20300101000000 20200101000000 1 example.com. aGVsbG8="}, {"KEY", "256 3 5 aGVsbG8="}, {"KEY", "49152 3 5"}, {"PX", "10 a b"}, {"GPOS", "1.0 2.0 3.0"}, {"GPOS", `"-32.6882" "116.8652" "10.0"`}, {"AAAA", "2001:db8::1"}, {"AAAA", "::ffff:192.0.2.1"},
	{"LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"}, {"LOC", "60 9 0.000 N 24 39 0.000 E 10.00m 20m 2000m 20m"}, {"NXT", "next A MX"}, {"EID", "6865"}, {"NIMLOC", "6865"}, {"SRV", "10 20 25 mail"}, {"SRV", "0 0 0 ."},
	{"NAPTR", `100 10 "u" "sip+E2U" "!^.*$!sip:info@example.com!" .`}, {"NAPTR", `100 10 u E2U+sip "!^.*$!sip:info@example.com!" .`}, {"NAPTR", `100 10 "" "" "" x`}, {"KX", "10 kx"}, {"CERT", "1 2 8 aGVsbG8="}, {"CERT", "PGP 0 0 aGVs bG8="}, {"DNAME", "other.example."},
	{"SINK", "1 2 aGVsbG8="}, {"APL", "1:192.0.2.0/24 !2:2001:db8::/32"}, {"APL", "1:192.0.2.1/24"}, {"APL", ""}, {"DS", "1 13 2 " + sha256Hex}, {"DS", "1 ECDSAP256SHA256 2 (ABABABABABABABABABABABABABABABAB\n ABABABABABABABABABABABABABABABAB)"}, {"SSHFP", "1 2 " + sha256Hex},
	{"IPSECKEY", "10 1 2 192.0.2.38 AQID"}, {"IPSECKEY", "10 0 2 . AQID"}, {"IPSECKEY", "10 2 2 2001:db8::1 AQID"}, {"IPSECKEY", "10 3 2 gateway AQID"},
	{"RRSIG", "A 13 2 3600 20300101000000 20200101000000 1 example.com. aGVsbG8="}, {"RRSIG", "TYPE65280 13 2 3600 1893456000 1577836800 1 example.com. aGVsbG8="}, {"NSEC", "next A RRSIG TYPE65280"}, {"NSEC", "next ( A\n MX\n RRSIG NSEC )"}, {"DNSKEY", "257 3 13 aGVsbG8="}, {"DHCID", "aGVsbG8="},
	{"NSEC3", "1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG"}, {"NSEC3", "1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR"}, {"NSEC3PARAM", "1 0 12 AABBCCDD"}, {"NSEC3PARAM", "1 0 0 -"}, {"TLSA", "3 1 1 " + sha256Hex}, {"SMIMEA", "3 0 0 308201"},
	{"HIP", "2 200100107B1A74DF365639CC39F1D578 aGVsbG8= rvs"}, {"HIP", "2 200100107B1A74DF365639CC39F1D578 aGVsbG8="}, {"NINFO", `"x"`}, {"RKEY", "0 1 5 aGVsbG8="}, {"TALINK", "a b"}, {"CDS", "1 13 2 " + sha256Hex}, {"CDS", "0 0 0 00"}, {"CDNSKEY", "257 3 13 aGVsbG8="}, {"CDNSKEY", "0 3 0 AA=="},
	{"OPENPGPKEY", "aGVs\tbG8="}, {"CSYNC", "66 3 A NS AAAA"}, {"CSYNC", "66 3"}, {"ZONEMD", "1 1 1 " + sha256Hex + sha256Hex[:32]}, {"SVCB", "1 svc port=8443"}, {"SVCB", `1 svc alpn="h2,h3" ipv6hint=2001:db8::1`}, {"HTTPS", "1 . alpn=h2 ipv4hint=192.0.2.1"}, {"HTTPS", "0 svc"}, {"SVCB", "1 . mandatory=alpn alpn=h2 key65333=abc"},
	{"HTTPS", "16 foo ipv6hint=::ffff:198.51.100.100"}, {"SVCB", `16 foo alpn="f\\\\oo\\,bar,h2"`}, {"SVCB", "1 foo ( mandatory=ipv4hint,alpn\n port=53 alpn=h2,h3-19 ipv4hint=192.0.2.1,192.0.2.2 )"}, {"HTTPS", "1 . no-default-alpn alpn=h2 ech=AEj+DQ=="}, {"SVCB", `1 . key667="hello\210qoo"`},
	{"LOC", "42 21 N 71 06 W 100000.00m 90000000m 10m 10m"}, {"LOC", "0 N 0 E -100000m"}, {"LOC", "42 21 43.528 S 71 5 6.284 E -25m 1m 3000m"}, {"LOC", "90 S 180 W 42849672.95m 0.09m"},
	{"WKS", "10.0.0.1 TCP 25 80"}, {"WKS", "10.0.0.1 6 ( smtp 53 )"}, {"CERT", "IPKIX 0 0 AAAA"},
	{"SPF", `"v=spf1 -all"`}, {"UINFO", `"u"`}, {"UID", "10"}, {"GID", "10"}, {"NID", "10 0014:4fff:ff20:ee64"}, {"L32", "10 10.1.2.0"}, {"L64", "10 2001:0db8:0001:0000"}, {"LP", "10 l64"}, {"EUI48", "00-00-5e-00-53-2a"}, {"EUI64", "00-00-5e-ef-10-00-00-2a"},
	{"URI", `10 1 "ftp://ftp.example.com/"`}, {"CAA", `0 issue "ca.example.net"`}, {"CAA", `128 iodef mailto:x@example.com`}, {"CAA", `0 issue ";"`}, {"AVC", `"app"`}, {"AMTRELAY", "10 0 1 192.0.2.1"}, {"AMTRELAY", "10 1 2 2001:db8::15"}, {"AMTRELAY", "10 0 3 relay"}, {"AMTRELAY", "10 1 0 ."},
	{"RESINFO", "qnamemin exterr=15"}, {"TA", "1 13 2 " + sha256Hex}, {"DLV", "1 13 2 " + sha256Hex}, {"NULL", `\# 2 abcd`}, {"NULL", `\# 0`}, {"TYPE65280", `\# 4 0A000001`}, {"A", `\# 4 C0000201`}, {"SOA", "ns1 hostmaster 1 2h 30m 2w 5m"},
}
