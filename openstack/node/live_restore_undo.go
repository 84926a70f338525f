package node

import (
	"bytes"
	"context"
)

// Undo puts daemon.json back as it was, unless it has been edited since.
func (l *liveRestore) Undo(ctx context.Context) ([]string, error) {
	now, err := before(l.path())
	if err != nil || now.missing {
		return nil, err
	}
	saved, err := before(l.saved())
	if err != nil {
		return nil, err
	}
	made, err := withLiveRestore(saved.content)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(made, now.content) && saved.missing:
		return nil, nil
	case !bytes.Equal(made, now.content):
		return []string{"left " + l.path() + " as it is: it was edited since"}, nil
	}
	if err := l.switchOff(ctx, now); err != nil {
		return nil, err
	}
	saved.path = now.path
	if err := saved.restore(); err != nil {
		return nil, err
	}
	if saved.missing {
		return []string{"removed " + l.path()}, nil
	}
	var did changes
	return []string{"put back " + l.path() + " as it was"}, did.remove(l.saved())
}

// switchOff tells the engine, which would keep to a setting that is merely gone from its file.
func (l *liveRestore) switchOff(ctx context.Context, now snapshot) error {
	now.content = bytes.Replace(now.content, []byte(liveRestoreOn), []byte(liveRestoreOff), 1)
	if err := now.put(); err != nil {
		return err
	}
	return l.reload(ctx, false)
}
