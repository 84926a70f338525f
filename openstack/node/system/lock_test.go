package system

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "setup.lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	var hint interface{ Hint() string }
	if _, err := Lock(path); !errors.As(err, &hint) {
		t.Errorf("the second got %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if unlock, err = Lock(path); err != nil {
		t.Errorf("afterwards: %v", err)
	} else if err := unlock(); err != nil {
		t.Error(err)
	}
}
