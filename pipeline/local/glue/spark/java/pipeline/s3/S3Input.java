// Reads an object by ranges: forward reads ask for more and more at once, a seek starts small again.
package pipeline.s3;

import java.io.EOFException;
import java.io.IOException;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.FileSystem;

final class S3Input extends FSInputStream {
    private static final int LEAST = 64 * 1024;
    private static final int MOST = 8 * 1024 * 1024;

    private final S3Client client;
    private final String bucket;
    private final String key;
    private final long length;
    private final String etag;
    private final FileSystem.Statistics statistics;
    private byte[] held = new byte[0];
    private long start; // of what is held
    private long position;
    private int ahead = LEAST;
    private boolean closed;

    S3Input(S3Client client, String bucket, String key, long length, String etag,
            FileSystem.Statistics statistics) {
        this.client = client;
        this.bucket = bucket;
        this.key = key;
        this.length = length;
        this.etag = etag;
        this.statistics = statistics;
    }

    public synchronized int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    public synchronized int read(byte[] into, int offset, int wanted) throws IOException {
        if (this.closed) {
            throw new IOException("s3://" + this.bucket + "/" + this.key + " was closed");
        }
        if (wanted == 0) {
            return 0;
        }
        if (this.position >= this.length) {
            return -1;
        }
        long end = this.start + this.held.length;
        if (this.position < this.start || this.position >= end) {
            boolean goesOn = this.held.length > 0 && this.position == end;
            this.ahead = goesOn ? Math.min(this.ahead * 2, MOST) : LEAST;
            long last = Math.min(this.position + Math.max(this.ahead, Math.min(wanted, MOST)), this.length) - 1;
            this.held = this.client.range(this.bucket, this.key, this.position, last, this.etag);
            this.start = this.position;
            this.statistics.incrementReadOps(1);
        }
        int from = (int) (this.position - this.start);
        int count = Math.min(wanted, this.held.length - from);
        System.arraycopy(this.held, from, into, offset, count);
        this.position += count;
        this.statistics.incrementBytesRead(count);
        return count;
    }

    public synchronized void seek(long to) throws IOException {
        if (to < 0 || to > this.length) {
            throw new EOFException("s3://" + this.bucket + "/" + this.key + ": no byte " + to + " in "
                + this.length);
        }
        this.position = to;
    }

    public synchronized long getPos() {
        return this.position;
    }

    public boolean seekToNewSource(long target) {
        return false;
    }

    public synchronized int available() {
        return (int) Math.min(Integer.MAX_VALUE, this.length - this.position);
    }

    public synchronized void close() {
        this.closed = true;
        this.held = new byte[0];
    }
}
