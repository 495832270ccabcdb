// Package rr is the record of a zone as it stands in a message and in a master file.
//
// A [Record] is an owner, a type, a TTL and data, names whole and in wire format. [Unpack] takes it out of a message, a [Packer] writes
// messages with compressed names, and a [Reader] reads master files: entries, directives, $INCLUDE and $GENERATE.
//
// It knows no zone, and opens no file but by what is handed in. Whatever a message or a file holds, reading ends.
// The standards are RFC 1035 4 and 5, RFC 2308 4 ($TTL) and RFC 3597 (unknown types).
package rr
