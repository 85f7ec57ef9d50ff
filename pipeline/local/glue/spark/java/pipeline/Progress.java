// Says on standard output every few seconds how far Spark is; Spark starts it (spark.extraListeners).
package pipeline;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;

public final class Progress extends SparkListener implements Runnable {
    private static final double SECONDS =
        Double.parseDouble(System.getProperty("pipeline.progress.seconds", "5"));

    private final long started = System.currentTimeMillis();
    private final Map running = new TreeMap(); // stage id -> {name, tasks, tasks done}
    private int stages;
    private int tasks;
    private int failed;
    private long read;
    private long written;
    private long shuffled;
    private String said = "";

    public Progress() {
        Thread thread = new Thread(this, "progress");
        thread.setDaemon(true);
        thread.start();
    }

    public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
        StageInfo stage = event.stageInfo();
        String name = stage.name();
        if (name.indexOf(" at Native") > 0) { // of Python's call, whose line Java does not know
            name = name.substring(0, name.indexOf(" at Native"));
        }
        name = name.replaceAll(" at \\S*/", " at "); // the file is known by its name
        this.running.put(
            Integer.valueOf(stage.stageId()), new Object[] {name, new int[] {stage.numTasks(), 0}});
    }

    public synchronized void onStageCompleted(SparkListenerStageCompleted event) {
        this.running.remove(Integer.valueOf(event.stageInfo().stageId()));
        this.stages++;
    }

    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        Object[] stage = (Object[]) this.running.get(Integer.valueOf(event.stageId()));
        if (!event.taskInfo().successful()) {
            this.failed++;
            return;
        }
        this.tasks++;
        if (stage != null) {
            ((int[]) stage[1])[1]++;
        }
        TaskMetrics metrics = event.taskMetrics();
        if (metrics != null) {
            this.read += metrics.inputMetrics().recordsRead();
            this.written += metrics.outputMetrics().recordsWritten();
            this.shuffled += metrics.shuffleWriteMetrics().recordsWritten();
        }
    }

    public synchronized void onApplicationEnd(SparkListenerApplicationEnd event) {
        if (this.tasks > 0) {
            say("done: " + this.stages + " stages");
        }
    }

    public void run() {
        try {
            while (true) {
                Thread.sleep((long) (SECONDS * 1000));
                now();
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized void now() {
        if (this.running.isEmpty()) {
            return;
        }
        List parts = new ArrayList();
        for (Iterator each = this.running.entrySet().iterator(); each.hasNext();) {
            Map.Entry entry = (Map.Entry) each.next();
            Object[] stage = (Object[]) entry.getValue();
            int[] counts = (int[]) stage[1];
            parts.add("stage " + entry.getKey() + " (" + stage[0] + ") " + counts[1] + "/" + counts[0] + " tasks");
        }
        say(this.stages + " stages done, " + String.join(", ", parts));
    }

    /** Nothing is said twice: a line that comes again would only say that time goes by. */
    private void say(String what) {
        String line = what + String.format(
            Locale.ROOT, "; %,d tasks, rows: %,d read, %,d shuffled, %,d written",
            new Object[] {Integer.valueOf(this.tasks), Long.valueOf(this.read), Long.valueOf(this.shuffled),
                Long.valueOf(this.written)})
            + (this.failed > 0 ? ", " + this.failed + " tasks failed" : "");
        if (!line.equals(this.said)) {
            this.said = line;
            long seconds = (System.currentTimeMillis() - this.started) / 1000;
            System.out.println("Spark " + seconds + " s: " + line);
        }
    }
}
