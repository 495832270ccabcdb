package source

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
)

// clientsOf makes so many listed clients, an eighth of them of IPv6.
func clientsOf(n int) []Listed {
	list := make([]Listed, n)
	for i := range list {
		hash := uint64(i+1) * 0x9e3779b97f4a7c15
		var v6 [16]byte
		binary.BigEndian.PutUint64(v6[:], hash>>4|2<<60)
		list[i] = Listed{netip.PrefixFrom(netip.AddrFrom16(v6), 64), netip.MustParseAddr("127.0.0.4"), "tried a decoy and no real host; at mx3.example.com, 2026-01-01 12:00:00 UTC; listed until 2026-01-02 12:00:00 UTC"}
		if i%8 > 0 {
			list[i].Client = netip.PrefixFrom(netip.AddrFrom4([4]byte(v6[:4])), 32)
		}
	}
	return list
}

func BenchmarkAListIsCompiled(b *testing.B) {
	clients := clientsOf(1000)
	apex, _ := dname.Parse("bl.example.com", dname.Root)
	for b.Loop() {
		var report conf.Report
		if NewList("m.toml", apex, []dname.Name{apex}, clients, 1).Compile(nil, &report) == nil {
			b.Fatal(report.Problems())
		}
	}
}
