// The parts of JupyterLab 4.6 and Notebook 7.6 that are used here, and the messages of our comm.

export interface Containers {
  _JUPYTERLAB?: Record<string, { init(scope: ShareScope): void; get(): Promise<() => unknown> }>;
}
export type ShareScope = Record<string, Record<string, { loaded?: unknown; get(): Promise<() => unknown> }>>;

export interface Signal<Sender, Args> {
  connect(slot: (sender: Sender, args: Args) => void): boolean;
  disconnect(slot: (sender: Sender, args: Args) => void): boolean;
}

export type Json = Record<string, any>;

/** A cell as it is shared between pages (`@jupyter/ydoc`). */
export interface SharedCell {
  readonly cell_type: string;
  readonly isDisposed: boolean;
  readonly ysource: {
    observe(seen: (event: unknown, transaction: { local: boolean }) => void): void;
  };
  readonly metadataChanged: Signal<SharedCell, unknown>;
  readonly changed: Signal<SharedCell, { executionCountChange?: { newValue?: number | null } }>;
  getId(): string;
  getSource(): string;
  updateSource(start: number, end: number, value?: string): void;
  getMetadata(): Json;
  getMetadata(key: string): any;
  setMetadata(key: string, value: unknown): void;
  deleteMetadata(key: string): void;
  toJSON(): Json;
}
export interface SharedNotebook {
  readonly cells: SharedCell[];
  readonly awareness: Awareness;
  readonly changed: Signal<SharedNotebook, { cellsChange?: unknown[]; }>;
  insertCell(index: number, cell: Json): SharedCell;
  insertCells(index: number, cells: Json[]): SharedCell[];
  deleteCell(index: number): void;
  deleteCellRange(from: number, to: number): void;
  transact(work: () => void, undoable?: boolean): void;
  setMetadata(key: string, value: unknown): void;
  getMetadata(key: string): any;
}
export interface Awareness {
  readonly clientID: number;
  getStates(): Map<number, Json>;
  setLocalStateField(field: string, value: unknown): void;
  on(event: 'change', seen: (change: { removed: number[] }) => void): void;
}
export interface Outputs {
  readonly length: number;
  add(output: Json): number;
  set(index: number, output: Json): void;
  fromJSON(outputs: Json[]): void;
  toJSON(): Json[];
}
export interface CellModel {
  readonly id: string;
  readonly sharedModel: SharedCell;
  trusted: boolean;
  outputs?: Outputs;
  executionCount?: number | null;
  executionState?: 'idle' | 'running';
}
export interface CellWidget {
  readonly node: HTMLElement;
  readonly model: CellModel;
  readonly isDisposed: boolean;
  readonly outputArea?: { future?: { isDisposed: boolean; msg: { header: { msg_id: string } } } };
  readonly editor?: { setCursorPosition(position: { line: number; column: number }): void } | null;
  readonly renderer?: { renderModel(model: unknown): Promise<void> };
  rendered?: boolean;
  setHidden(hidden: boolean): void;
  setPrompt?(prompt: string): void;
  toggleClass(name: string, on: boolean): boolean;
}
export interface Comm {
  readonly isDisposed: boolean;
  onMsg: (message: { content: { data: any } }) => void;
  onClose: (message: unknown) => void;
  open(data: Json): unknown;
  send(data: Json): unknown;
  close(): unknown;
}
export interface Kernel {
  readonly clientId: string;
  readonly info: Promise<{ implementation: string }>;
  readonly isDisposed: boolean;
  createComm(target: string): Comm;
  interrupt(): Promise<void>;
}
export interface NotebookPanel {
  readonly id: string;
  readonly node: HTMLElement;
  readonly toolbar: {
    addItem(name: string, widget: Widget): boolean;
    insertAfter(at: string, name: string, widget: Widget): boolean;
  };
  readonly isDisposed: boolean;
  readonly disposed: Signal<NotebookPanel, void>;
  readonly content: {
    readonly node: HTMLElement;
    readonly model: { readonly sharedModel: SharedNotebook; readonly collaborative?: boolean } | null;
    readonly widgets: readonly CellWidget[];
    readonly activeCell: CellWidget | null;
    activeCellIndex: number;
    mode: 'command' | 'edit';
    deselectAll(): void;
    scrollToItem(index: number, align: string): Promise<void>;
    readonly modelContentChanged: Signal<unknown, void>;
  };
  readonly context: { readonly ready: Promise<void>; readonly path: string };
  readonly sessionContext: {
    readonly ready: Promise<void>;
    readonly session: { readonly kernel: Kernel | null } | null;
    readonly kernelChanged: Signal<unknown, unknown>;
    readonly statusChanged: Signal<unknown, string>;
    changeKernel(options: { name: string }): Promise<unknown>;
  };
}
export interface Tracker {
  readonly currentWidget: NotebookPanel | null;
  readonly currentChanged: Signal<Tracker, NotebookPanel | null>;
  readonly widgetAdded: Signal<Tracker, NotebookPanel>;
  forEach(each: (panel: NotebookPanel) => void): void;
}
export interface App {
  readonly commands: {
    addCommand(id: string, options: {
      label: string | (() => string);
      caption?: string;
      icon?: unknown;
      execute(): unknown;
      isEnabled?(): boolean;
      isVisible?(): boolean;
    }): unknown;
    execute(id: string, args?: Json): Promise<unknown>;
    hasCommand(id: string): boolean;
  };
  readonly shell: {
    add(widget: Widget, area: string, options?: { rank?: number }): void;
    activateById(id: string): void;
  };
  readonly contextMenu: { addItem(item: Json): unknown };
  readonly docRegistry: {
    addWidgetExtension(
      factory: string,
      extension: { createNew(panel: NotebookPanel): Widget }
    ): unknown;
  };
  readonly serviceManager: {
    readonly serverSettings: { baseUrl: string };
    readonly contents: {
      localPath(path: string): string;
      get(path: string, options?: Json): Promise<Json>;
      save(path: string, model: Json): Promise<Json>;
      newUntitled(options: Json): Promise<Json>;
    };
    readonly kernelspecs: {
      readonly ready: Promise<void>;
      readonly specs: { kernelspecs: Record<string, Json | undefined> } | null;
    };
  };
}
/** A widget of Lumino's. */
export interface Widget {
  id: string;
  readonly node: HTMLElement;
  readonly title: { caption: string; icon: unknown; label: string };
  readonly isVisible: boolean;
  setHidden(hidden: boolean): void;
  dispose(): void;
}
/** A file browser's entry. */
export interface FileItem {
  path: string;
  type: string;
}
export interface Palette {
  addItem(item: { command: string; category: string }): unknown;
}

/** What a cell of the LM's has as `metadata.rlm`, and the cell that asked. */
export interface Mark {
  author: 'lm' | 'human';
  run: string;
  asking: string;
  key?: string;
  turn?: number;
  state: string;
  badge?: string;
  edited?: boolean;
  /** The kernel has gone back to before it. */
  undone?: boolean;
  /** Of the cell that asks: keys of cells that the human removed. */
  dropped?: string[];
  folded?: boolean;
  /** Of the cell that asks: an earlier run whose cells go when the first of this one comes. */
  before?: string;
  mine?: Mine;
}
/** What stands in the place of a question in a notebook of one's own. */
export interface Mine {
  markdown: string;
  code: string;
  needs: string[];
}

interface Named {
  run: string;
  asking: string;
  after: string;
  session: string;
  /** True of what the kernel had kept when the page opened. */
  kept?: boolean;
}
export interface QuestionTold extends Named {
  type: 'question';
  state: string;
  line: string;
  /** How far it is, in the fewest words. */
  progress?: string;
  outputs: Json[];
  count: number | null;
  mine?: Mine;
}
export interface CellTold extends Named {
  type: 'cell';
  key: string;
  turn: number;
  kind: 'code' | 'markdown';
  source?: string;
  state?: string;
  outputs?: Json[];
  count?: number | null;
  badge?: string;
}
/** A cell that waits for the human; its key is empty for a child's, which has no cell here. */
export interface ProposalTold {
  type: 'proposal';
  proposal: string;
  node: string;
  turn: number;
  source: string;
  note: string;
  key: string;
  after: string;
}
export type Told =
  | ProposalTold
  | { type: 'decided'; proposal: string }
  | { type: 'untold'; why: string }
  | QuestionTold
  | CellTold
  | (Named & { type: 'removed'; key: string })
  | (Named & { type: 'undone'; keys: string[] })
  | { type: 'welcome'; version: number; running: string[] }
  | { type: 'refused'; version: number }
  | { type: 'do'; what: 'fold' | 'remove'; run: string };

/** A question as a page follows it; `state` is 'running' or how it ended. */
export interface Question {
  panel: NotebookPanel;
  run: string;
  asking: string;
  state: string;
  line: string;
  progress: string;
  send: (data: Json) => void;
}

// What the server tells. Texts are a stranger's: they are shown as texts.
export interface RunRow {
  path: string;
  name: string;
  question: string;
  model: string;
  status: string;
  answer: string;
  confirmed: boolean;
  turns: number | null;
  calls: number | null;
  tokens: number | null;
  spent: string | null;
  seconds: number | null;
  began: number | null;
  note: string;
  /** Whether it has a trajectory that can be opened. */
  opens: boolean;
}
export interface NodeTold {
  id: string;
  parent: string | null;
  question: string;
  model: string;
  status: string;
  turn: number;
  calls: number;
  spent: string;
  seconds: number;
  under_way: { op: string; done: number; count: number }[];
}
export interface RunTold {
  limits: { turns?: number; calls?: number; tokens?: number; cost?: number; seconds?: number };
  calls: number;
  tokens: number;
  cost: number | null;
  spent: string;
  most: string | null;
  elapsed: number;
  nodes: NodeTold[];
  left_out: number;
  problem: string;
  whole: boolean;
}
