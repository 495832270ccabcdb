// Package keyring has the keys that zones are signed with, as they are on disk.
//
// A [Ring] lists a folder of BIND's key files, or derives keys from one secret, and reads a zone's keys when they are asked for
// (keyring.go). The commands write key files (write.go); nothing else ever does.
//
// It signs nothing and knows no zone but by its name. What a key means is in package sign.
package keyring
