package transfer

import (
	"fmt"
	"sync/atomic"
)

// fetchRoom is the memory that zones which come in have together. Each has a share of its own, so that a few large ones, or primaries that
// drip, leave room for all small ones.
type fetchRoom struct{ used atomic.Int64 }

const (
	fetchesMemory = 256 << 20
	fetchShare    = 256 << 10
)

// errNoRoom says that others have the memory.
var errNoRoom = fmt.Errorf("the zones that arrive use more than %d octets together; trying again later", fetchesMemory)

// take takes octets beyond a fetch's own share, and says whether they were there.
func (r *fetchRoom) take(octets int64) bool { return r.used.Add(octets) <= fetchesMemory }

// give gives them back.
func (r *fetchRoom) give(octets int64) { r.used.Add(-octets) }
