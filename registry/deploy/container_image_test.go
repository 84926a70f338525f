package deploy

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

// What breaks off is not taken for what ends.
func TestEngineBreaksOff(t *testing.T) {
	broken := fmt.Errorf("the connection: %w", io.EOF)
	if err := readProgress(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("import: %v", err)
	}
	if _, err := unpack(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("files: %v", err)
	}
}
