// Package configs holds the files that ship with mxtrap; the example zone is the one that `mxtrap serve` shows when it is given none.
package configs

import _ "embed"

// ExampleZonePath is what the example is called in messages.
const ExampleZonePath = "configs/zones/example.com.toml"

// ExampleZone is the example zone file.
//
//go:embed zones/example.com.toml
var ExampleZone []byte
