package server

import (
	"flag"
	"os"
	"testing"
	"time"

	"mxtrap/server/fake"
	"mxtrap/server/transfer"
)

// A second lasts a fifth of one where tests wait for primaries and for zones that expire.
const (
	second = time.Second / 5
	tempo  = transfer.Tempo(second)
)

// patience is how long a test waits before it fails.
const patience = fake.Patience

// TestMain lets many tests run at a time: those that are parallel wait for clocks more than for the processor.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "24")
	os.Exit(m.Run())
}

// exampleZone is the zone file of many tests.
var exampleZone = func() string {
	text, err := os.ReadFile("testdata/example.toml")
	if err != nil {
		panic(err)
	}
	return string(text)
}()
