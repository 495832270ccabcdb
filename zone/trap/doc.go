// Package trap builds the trap of a zone: the decoys and covers beside its real exchanges.
//
// [Read] takes the operator's table [trap] (table.go). [Table.Build] finds the real exchanges (build.go, exchange.go), names covers and decoys, gives decoys
// the addresses of their own or of their target (deal.go, decoy.go, cover.go), and puts all of it into the zone's content. spf.go holds
// the limits of SPF that decoys could break.
//
// It looks nothing up: what is known of hosts outside the zone is handed in. What cannot be built is a fault that is reported when the zone
// is loaded, never when it is asked. The standards are RFC 5321 5.1, RFC 7208 4.6.4 (SPF), RFC 7505 (null MX) and RFC 1123 2.1.
package trap
