// Writes an object that nobody sees before it is closed: one PUT, or the parts of an upload above a limit.
package pipeline.s3;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.fs.FileSystem;

final class S3Output extends OutputStream {
    private final S3Client client;
    private final String bucket;
    private final String key;
    private final int partSize;
    private final Set open;
    private final FileSystem.Statistics statistics;
    private final List etags = new ArrayList();
    private ByteArrayOutputStream waiting = new ByteArrayOutputStream();
    private String upload;
    private boolean ended;

    /** `open`: where it stands until it ends, for whoever must abort what was never closed. */
    S3Output(S3Client client, String bucket, String key, int partSize, Set open,
            FileSystem.Statistics statistics) {
        this.client = client;
        this.bucket = bucket;
        this.key = key;
        this.partSize = partSize;
        this.open = open;
        this.statistics = statistics;
        open.add(this);
    }

    public synchronized void write(int value) throws IOException {
        write(new byte[] {(byte) value}, 0, 1);
    }

    public synchronized void write(byte[] from, int offset, int count) throws IOException {
        if (this.ended) {
            throw new IOException("s3://" + this.bucket + "/" + this.key + " was closed");
        }
        int written = 0;
        while (written < count) {
            int next = Math.min(count - written, this.partSize - this.waiting.size());
            this.waiting.write(from, offset + written, next);
            written += next;
            if (this.waiting.size() >= this.partSize) {
                sendPart();
            }
        }
        this.statistics.incrementBytesWritten(count);
    }

    private void sendPart() throws IOException {
        if (this.upload == null) {
            this.upload = this.client.startUpload(this.bucket, this.key);
        }
        byte[] body = this.waiting.toByteArray();
        this.etags.add(this.client.part(this.bucket, this.key, this.upload, this.etags.size() + 1, body));
        this.waiting.reset();
    }

    public synchronized void close() throws IOException {
        if (this.ended) {
            return;
        }
        try {
            if (this.upload == null) {
                this.client.put(this.bucket, this.key, this.waiting.toByteArray());
            } else {
                if (this.waiting.size() > 0) {
                    sendPart();
                }
                this.client.finishUpload(this.bucket, this.key, this.upload, this.etags);
                this.upload = null;
            }
        } catch (IOException error) {
            try {
                abort();
            } catch (IOException second) {
                error.addSuppressed(second);
            }
            throw error;
        }
        this.statistics.incrementWriteOps(1);
        abort(); // of nothing: it only marks the end
    }

    /** Give it up: nothing of it is kept, no object appears. Does nothing once it has ended. */
    synchronized void abort() throws IOException {
        if (this.ended) {
            return;
        }
        this.ended = true;
        this.open.remove(this);
        this.waiting = new ByteArrayOutputStream();
        if (this.upload != null) {
            this.client.abortUpload(this.bucket, this.key, this.upload);
        }
    }
}
