package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARecordThatOthersCanWriteIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories away")
	}
	store := Store(t.TempDir())
	if err := store.Amend(func(r *Record) { r.Files["/etc/docker/daemon.json"] = Original{Content: []byte("{}")} }); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(store.path(File)), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Read(); err == nil || !strings.Contains(err.Error(), "others than root may write to") {
		t.Errorf("got %v", err)
	}
}
