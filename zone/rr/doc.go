// Package rr is the record of a zone as it stands on the wire, as text, and in a master file.
//
// What a type's data are made of is written once, in the table of layouts: the same fields check the octets that came from
// anywhere, read text as BIND and NSD do, and write it. A record that has passed [Check] holds what its type says: whole names,
// counted strings, nothing missing and nothing behind the last field. Nothing here knows a zone, a file or a socket but what is
// handed in.
//
// Read RFC 1035 5.1 for master files, RFC 3597 for types that nobody knows, and each type's own RFC for its fields.
package rr
