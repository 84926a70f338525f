package docker

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLoadedID(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		account, id, says string
		refused           bool
	}{
		"good":         {account: `{"status":"Loading layer"}` + "\n" + `{"stream":"Loaded image ID: sha256:abc\n"}`, id: "sha256:abc"},
		"refused":      {account: `{"errorDetail":{"message":"bad"},"error":"bad"}`, says: "bad", refused: true},
		"garbage":      {account: "<html>", says: "account"},
		"cut off":      {account: `{"stream":"Loaded`, says: "account"},
		"nothing":      {account: "", says: "did not say"},
		"not unpacked": {account: `{"stream":"Loaded image ID: sha256:abc\n"}{"stream":"Error unpacking image sha256:abc: content digest sha256:12: not found\n"}`, id: "sha256:abc", says: "not found", refused: true},
		"by its name":  {account: `{"stream":"Loaded image: busybox:latest\n"}`, says: "did not say"},
	} {
		id, err := loadedID(strings.NewReader(c.account))
		var refused *LoadRefused
		if id != c.id || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) || errors.As(err, &refused) != c.refused {
			t.Errorf("%s: got %q, %v", name, id, err)
		}
	}
}

// TestAccountBreaks: an account that breaks off is not taken for one that ends.
func TestAccountBreaks(t *testing.T) {
	t.Parallel()
	broken := fmt.Errorf("the connection: %w", io.EOF)
	for _, account := range []string{"", `{"stream":"Loaded image ID: sha256:1"}`} {
		if id, err := loadedID(io.MultiReader(strings.NewReader(account), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("%q: %q, %v", account, id, err)
		}
	}
}
