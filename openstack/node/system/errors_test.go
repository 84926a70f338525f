package system

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestNeedRoot(t *testing.T) {
	if err := NeedRoot(0, "node setup"); err != nil {
		t.Error(err)
	}
	if err := NeedRoot(1000, "node setup"); err == nil {
		t.Error("anybody may change the machine")
	}
}

func TestFileErrorsSayWhatToDo(t *testing.T) {
	for _, cause := range []error{syscall.EROFS, syscall.ENOSPC, syscall.EACCES} {
		err := FileError("write", "/etc/nova/nova-compute.conf", &os.PathError{Op: "open", Path: "/etc/nova/.ndock-1", Err: cause})
		var hint interface{ Hint() string }
		if want := "write /etc/nova/nova-compute.conf: " + cause.Error(); err.Error() != want || !errors.As(err, &hint) {
			t.Errorf("got %v, hint %v", err, hint)
		}
	}
}
