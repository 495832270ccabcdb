// Package rdata is the data of records: what each type's data are made of.
//
// The table of layouts says it once (layout.go). The same fields check octets that came from anywhere, read text as BIND and NSD do, and
// write it (field.go and the files of single fields). lex.go cuts text into words. Data that have passed [Check] hold what their type says:
// whole names, counted strings, nothing missing and nothing behind the last field.
//
// It knows no owner, no TTL, no file and no message. The standards are RFC 1035 3.3 and 5.1, RFC 3597 for types that nobody knows, and each
// type's own RFC.
package rdata
