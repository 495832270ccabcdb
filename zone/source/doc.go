// Package source is a zone as its files have it.
//
// [Load] reads a zone file and the master files that it names (source.go, files.go, master.go), or takes the records of a copy from a
// primary (secondary.go). catalog.go makes and reads catalogs. [Zone.Compile] makes the SOA record (soa.go), judges the whole (check.go), has
// the trap built and returns the compiled zone.
//
// Whatever the files hold, the outcome is a zone or a report that names each place and cause. It serves nothing and asks nobody. The
// standards are RFC 1035 5 (master files), RFC 2308 4, RFC 9432 (catalogs) and RFC 2181.
package source
