package registry

import (
	"log/slog"
	"testing"
)

// TestStoreIsOutermost has each layer around the storage in its place: distribution puts one around the other in the
// order in which they are configured.
func TestStoreIsOutermost(t *testing.T) {
	_, c, err := ServeOptions{Listen: "127.0.0.1:0", Data: t.TempDir()}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newStore(c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range c.Middleware["storage"] {
		names = append(names, one.Name)
	}
	if len(names) != 2 || names[0] != "ndock-durable" || names[1] != middlewareName {
		t.Errorf("around the storage there are %q", names)
	}
}
